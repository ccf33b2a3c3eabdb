"""A picture of boxes and anchors: their sizes, and the share of boxes that each level matches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ssdreg_runtime.draw.palette import class_colors
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import shown

from ssdreg.anchors.match import Matching, corners, grids, shapes
from ssdreg.detector.plan import Plan
from ssdreg.errors import DataError

if TYPE_CHECKING:
    from ssdreg.drawing.mpl import Axes

#: Boxes drawn of each group; more would overlap, and make a large vector file.
MAX_POINTS, SEED = 4000, 0
#: One marker a level, so that levels are told apart without their colours.
MARKERS = "osD^vP*X<>ph"

Points = tuple[np.ndarray, np.ndarray]


def draw_anchors(boxes: np.ndarray, plan: Plan, matching: Matching, out: Path, title: str) -> None:
    """Draw `boxes` (n, 4 or 5, as `matches` takes them) and the anchors of `plan` into `out`.

    `matching` is the result of :func:`ssdreg.anchors.match.matches` for both. The left plot has the
    width and height of each box in pixels of the network's input, matched or not, and of each
    anchor by level; the right one the share of boxes that each level matches. The suffix of `out`
    names the format; its folder is made if need be, and the file appears when it is complete.
    Raises DataError for a suffix that matplotlib cannot write.
    """
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg

    figure = Figure(figsize=(12, 7.2), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    file_format = out.suffix.lstrip(".").lower()
    if file_format not in canvas.get_supported_filetypes():
        raise DataError(f"anchors cannot be drawn into {out}: its suffix is no picture format "
                        f"that matplotlib writes; use .png")
    # a name such as "a_$b" is meant literally
    figure.suptitle(shown(title), parse_math=False)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1.7, 1)})
    _scatter(left, boxes, plan, matching)
    _bars(right, plan, matching)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as beside:
        figure.savefig(beside, format=file_format)


def _scatter(axes: Axes, boxes: np.ndarray, plan: Plan, matching: Matching) -> None:
    box_corners, (height, width) = corners(boxes), plan.data_shape
    sides = (box_corners[:, 2:] - box_corners[:, :2]) * (width, height)
    groups: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("box, matched", sides[matching.matched],
         {"marker": ".", "s": 20, "color": "0.62", "linewidths": 0}),
        ("box, not matched", sides[~matching.matched],
         {"marker": "x", "s": 22, "color": "black", "linewidths": 0.9}))
    for name, points, style in groups:
        x, y = _sampled(points)
        axes.scatter(x, y, label=f"{name}: {len(points):,}", zorder=2, **style)
    for level, grid in enumerate(grids(plan)):
        anchor_sides = shapes(grid, plan.sizes[level], plan.ratios[level]) * (width, height)
        axes.scatter(anchor_sides[:, 0], anchor_sides[:, 1], s=64,
                     marker=MARKERS[level % len(MARKERS)], color=[_color(level, plan)],
                     edgecolors="black", linewidths=0.9, zorder=3,
                     label=f"anchors of level {level}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(f"width in pixels of the network's input ({width} wide)")
    axes.set_ylabel(f"height in pixels of the network's input ({height} high)")
    axes.grid(alpha=0.3)
    # below the axes, where it covers nothing
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncol=4, fontsize="small")


def _sampled(points: np.ndarray) -> Points:
    """Return columns x and y of some of the points (n, 2) where there are very many."""
    if len(points) > MAX_POINTS:
        points = np.random.default_rng(SEED).choice(points, MAX_POINTS, replace=False)
    return points[:, 0], points[:, 1]


def _bars(axes: Axes, plan: Plan, matching: Matching) -> None:
    shares = [level.matched / matching.boxes for level in matching.levels]
    rows = [f"level {index}\n{level.height}x{level.width} cells"
            for index, level in enumerate(plan.levels)]
    axes.barh([*rows, "all levels"], [*shares, matching.share], edgecolor="black",
              color=[*(_color(level, plan) for level in range(len(rows))), "0.62"])
    for row, share in enumerate([*shares, matching.share]):
        axes.text(share + 0.01, row, f"{share:.1%}", va="center")
    axes.invert_yaxis()
    # room for the figures behind a full bar
    axes.set_xlim(0, 1.19)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.set_xlabel("boxes with an anchor of IoU 0.5 or more")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _color(level: int, plan: Plan) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in class_colors(len(plan.levels))[level])
