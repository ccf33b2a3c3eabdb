"""The figures of a data set as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ssdreg_runtime.draw.palette import class_colors
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import shown

from ssdreg.data.statistics import DatasetStatistics, SplitStatistics
from ssdreg.errors import DataError

if TYPE_CHECKING:
    from ssdreg.drawing.mpl import Axes

#: Classes that have a bar of their own; those with fewest objects beyond are summed up.
MOST_CLASSES = 20
_BINS = 40


def check_statistics_file(out: Path) -> None:
    """Raise DataError where a picture cannot be written by its suffix."""
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg
    if out.suffix.lstrip(".").lower() not in FigureCanvasAgg(Figure()).get_supported_filetypes():
        raise DataError(f"statistics cannot be drawn into {out}: its suffix is no picture format "
                        f"that matplotlib writes; use .png")


def draw_statistics(statistics: DatasetStatistics, out: Path) -> None:
    """Draw a row of plots a split: classes, sizes and shapes of boxes, objects a picture.

    The suffix of `out` names the format; its folder is made if need be, and the file appears when
    it is complete. Raises DataError for a suffix that matplotlib cannot write.
    """
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg
    check_statistics_file(out)
    rows = len(statistics.splits)
    classes = min(MOST_CLASSES + 1, len(statistics.splits[0].classes))
    height = max(3.4, 1.6 + 0.22 * classes)
    figure = Figure(figsize=(15, height * rows + 0.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    # a name such as "a_$b" is meant literally
    figure.suptitle(shown(statistics.data), parse_math=False)
    grid = figure.subplots(rows, 4, squeeze=False)
    for split, axes in zip(statistics.splits, grid):
        _classes(axes[0], split)
        _histogram(axes[1], np.sqrt(split.boxes[:, 2] * split.boxes[:, 3]),
                   "size: root of the share of the picture", log=False)
        _histogram(axes[2], split.aspects, "width / height", log=True)
        _objects(axes[3], split)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as beside:
        figure.savefig(beside, format=out.suffix.lstrip(".").lower())


def _classes(axes: Axes, split: SplitStatistics) -> None:
    ranked = sorted(split.classes, key=lambda row: -row[1])
    rows = [(name, count) for name, count, _ in ranked[:MOST_CLASSES]]
    others = ranked[MOST_CLASSES:]
    if others:
        rows.append((f"{len(others)} others", sum(count for _, count, _ in others)))
    colors = [tuple(channel / 255 for channel in color) for color in class_colors(len(rows))]
    bars = axes.barh(range(len(rows)), [count for _, count in rows], color=colors,
                     edgecolor="black", linewidth=0.6)
    axes.bar_label(bars, [f"{count:,}" for _, count in rows], padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), [shown(name) for name, _ in rows], parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    name = f"split {split.name}: " if split.name else ""
    axes.set_title(f"{name}{split.images:,} pictures, {len(split.boxes):,} objects", fontsize=10)
    axes.set_xlabel("objects")


def _histogram(axes: Axes, values: np.ndarray, label: str, *, log: bool) -> None:
    if log:
        widest = max(2.0, float(np.abs(np.log2(values)).max()) * 1.05)
        bins = 2.0 ** np.linspace(-widest, widest, _BINS)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        bins = np.linspace(0, 1, _BINS)
    axes.hist(values, bins=bins.tolist(), color="#0072B2", edgecolor="white", linewidth=0.3)
    axes.axvline(float(np.median(values)), color="black", linestyle="--", linewidth=1,
                 label=f"median {np.median(values):.2g}")
    axes.set_xlabel(label)
    axes.set_ylabel("boxes")
    axes.legend(fontsize=8)


def _objects(axes: Axes, split: SplitStatistics) -> None:
    most = int(split.objects.max())
    bins = np.arange(-0.5, most + 1.5).tolist() if most < _BINS else _BINS
    axes.hist(split.objects, bins=bins, color="#009E73", edgecolor="white", linewidth=0.3)
    axes.set_xlabel("objects a picture")
    axes.set_ylabel("pictures")
    axes.set_title(f"{split.negatives:,} pictures without objects", fontsize=10)
