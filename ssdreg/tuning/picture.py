"""The picture of a tuning: the range test's curve, the trials in their order and by parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import shown

from ssdreg.tuning.curve import RateCurve
from ssdreg.tuning.recipe import FIELDS
from ssdreg.tuning.result import best_trial
from ssdreg.tuning.trial import DIVERGED, FINISHED, PRUNED, Trial

if TYPE_CHECKING:
    from ssdreg.drawing.mpl import Axes

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
#: How trials are marked, by their outcomes; those that were interrupted tell nothing.
_MARKS = {FINISHED: ("o", BLUE), PRUNED: ("v", GREY), DIVERGED: ("x", VERMILION)}
_LOGARITHMIC = ("lr", "head_lr")
#: The numbers on the axis of `head_lr`, which has too few decades for powers of ten.
_FACTORS = (0.5, 1, 2, 4, 8)


def draw_tuning(file: Path, title: str, curve: RateCurve, trials: Sequence[Trial]) -> None:
    """Draw a tuning into a PNG, which appears only when it is complete."""
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg, MaxNLocator
    figure = Figure(figsize=(11, 9), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    # a name such as "a_$b" is meant literally
    figure.suptitle(shown(title), parse_math=False)
    grid = figure.subplots(3, 3).ravel()
    _draw_curve(grid[0], curve)
    told = [trial for trial in trials if trial.outcome in _MARKS and not math.isnan(trial.ap)]
    history = grid[1]
    _mark(history, [float(trial.number) for trial in told], told)
    history.plot([trial.number for trial in told], _best_so_far(told), "-", color=GREEN,
                 label="best so far", drawstyle="steps-post")
    history.set_xlabel("trial, 0 is the default recipe")
    history.xaxis.set_major_locator(MaxNLocator(integer=True))
    if told:
        history.legend(fontsize="small")
    for axes, name in zip(grid[2:], FIELDS):
        values = [getattr(trial.recipe, name) for trial in told]
        if name in _LOGARITHMIC:
            positions = values
            # a single value has no logarithmic axis worth the name
            axes.set_xscale("log" if len(set(values)) > 1 else "linear")
        else:
            choices = sorted(set(values))
            positions = [float(choices.index(value)) for value in values]
            axes.set_xticks(range(len(choices)), [str(choice) for choice in choices])
            axes.set_xlim(-0.5, max(0.5, len(choices) - 0.5))
        _mark(axes, positions, told)
        # of few decades their numbers would cover each other
        axes.minorticks_off()
        if name == "head_lr":
            axes.set_xticks(_FACTORS, [f"{factor:g}" for factor in _FACTORS])
        axes.set_xlabel(name)
    used = 2 + len(FIELDS)
    for axes in grid[1:used]:
        axes.set_ylabel("validation AP")
        # room for the ring around the best
        axes.set_ylim(0, 1.1 * max((trial.ap for trial in told), default=1.0) or 1.0)
    for axes in grid[:used]:
        axes.grid(alpha=0.3)
    for axes in grid[used:]:
        axes.set_axis_off()
    with replacing(file) as beside:
        figure.savefig(beside, format="png")


def _draw_curve(axes: Axes, curve: RateCurve) -> None:
    axes.set_xscale("log")
    axes.plot(curve.rates, curve.losses, "-", color=GREY, alpha=0.5, label="loss")
    axes.plot(curve.rates, curve.smoothed, "-", color=BLUE, label="smoothed")
    if curve.falls:
        axes.axvspan(curve.lowest, curve.highest, color=GREEN, alpha=0.12, label="searched")
        axes.axvline(curve.steepest, color=VERMILION, linestyle="--",
                     label=f"steepest, {curve.steepest:.2g}")
    # one step that diverges far would flatten all others
    axes.set_ylim(0, 1.5 * max(curve.smoothed[:max(1, len(curve.smoothed) // 2)]))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.legend(fontsize="small")


def _mark(axes: Axes, positions: Sequence[float], trials: Sequence[Trial]) -> None:
    """Mark each trial by its outcome, the best one with a ring."""
    for outcome, (mark, color) in _MARKS.items():
        points = [(x, trial.ap) for x, trial in zip(positions, trials) if trial.outcome == outcome]
        if points:
            axes.plot(*zip(*points), mark, color=color, markersize=5, label=outcome)
    best = best_trial(trials)
    for x, trial in zip(positions, trials):
        if trial == best:
            axes.plot([x], [trial.ap], "o", color=GREEN, markersize=11, fillstyle="none")


def _best_so_far(trials: Sequence[Trial]) -> list[float]:
    best, so_far = 0.0, []
    for trial in trials:
        best = max(best, trial.ap if trial.outcome == FINISHED else 0.0)
        so_far.append(best)
    return so_far
