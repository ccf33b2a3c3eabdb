"""A picture as data (boxes, lines and texts, in inches), and the SVG or PNG file of it."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.errors import DataError

if TYPE_CHECKING:
    from ssdreg.drawing.mpl import Figure

#: matplotlib brings this font along, so that texts measure the same on every machine.
FONT = "DejaVu Sans"
POINTS = 72  # to the inch
ARROW_HEAD = 0.09  # the length of an arrow's head in inches
PNG_DPI, PNG_COLORS = 150, 128
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # texts as texts, not as outlines
    "svg.hashsalt": "ssdreg",  # the same identifiers every time
    # the others are as wide or narrower, where the SVG is viewed without the first
    "font.sans-serif": (FONT, "Verdana", "Helvetica", "Arial", "sans-serif"),
    "hatch.linewidth": 0.6,
    "text.hinting": "none",  # hinting would make letters wider than measured
}


@frozen
class Rectangle:
    """A rectangle; `x` and `y` are its upper left corner, `hatch` and `dash` matplotlib's."""

    x: float
    y: float
    width: float
    height: float
    face: str
    edge: str
    line: float = 0.8
    hatch: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"


@frozen
class Text:
    """One line of text; `x` is its left end, middle or right end as `align` says, `y` its middle.

    `size` is in points.
    """

    x: float
    y: float
    text: str
    size: float
    color: str
    align: str = "left"
    bold: bool = False


@frozen
class Polyline:
    """A line through points; `arrow` puts a head on its end."""

    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1.0
    arrow: bool = False


@frozen
class Picture:
    """All boxes, lines and texts, in inches from the upper left corner; lines lie below boxes."""

    width: float
    height: float
    boxes: tuple[Rectangle, ...] = field(repr=False)
    lines: tuple[Polyline, ...] = field(repr=False)
    texts: tuple[Text, ...] = field(repr=False)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a text in inches."""
    from ssdreg.drawing.mpl import FontProperties, text_to_path
    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / POINTS


def check_format(path: Path) -> None:
    """Raise DataError unless a path's suffix is that of a format in `WRITERS`."""
    if path.suffix.lstrip(".").lower() not in WRITERS:
        raise DataError(f"no picture can be drawn into {path}: its name must end in "
                        f"{' or '.join(f'.{kind}' for kind in WRITERS)}")


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture as SVG or PNG, by the suffix of `path`, completely or not at all.

    The folder is made if need be. Texts stay texts in an SVG, and the same picture gives the same
    file. Raises DataError for another suffix.
    """
    from ssdreg.drawing.mpl import rc_context
    check_format(path)
    kind = path.suffix.lstrip(".").lower()
    with rc_context(SETTINGS):
        figure = draw_figure(picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            WRITERS[kind](figure, beside)


def _write_svg(figure: Figure, path: Path) -> None:
    # no date, so that the file changes only with the picture
    figure.savefig(path, format="svg", metadata={"Date": None})


def _write_png(figure: Figure, path: Path) -> None:
    from PIL import Image
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
    # there are few colours, blended at edges: a palette makes the file a third as large
    Image.fromarray(pixels[..., :3].copy()).quantize(
        PNG_COLORS, dither=Image.Dither.NONE).save(path, optimize=True, dpi=(PNG_DPI, PNG_DPI))


WRITERS = {"svg": _write_svg, "png": _write_png}


def draw_figure(picture: Picture) -> Figure:
    """Draw a picture as a figure of matplotlib, one data unit an inch."""
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg, Polygon, Rectangle

    figure = Figure(figsize=(picture.width, picture.height), dpi=PNG_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    for line in picture.lines:
        # the line ends at the arrow head's base, or it would show beside the tip
        *points, tip = line.points
        points.append(_arrow_head(points[-1], tip)[3] if line.arrow else tip)
        across, down = zip(*points)
        axes.plot(across, down, color=line.color, linewidth=line.width, zorder=1,
                  solid_capstyle="butt", solid_joinstyle="miter")
        if line.arrow:
            axes.add_patch(Polygon(_arrow_head(*line.points[-2:])[:3], facecolor=line.color,
                                   linewidth=0, zorder=1))
    for box in picture.boxes:
        axes.add_patch(Rectangle((box.x, box.y), box.width, box.height, facecolor=box.face,
                                 edgecolor=box.edge, linewidth=box.line, hatch=box.hatch or None,
                                 linestyle=box.dash, zorder=2))
    for text in picture.texts:
        # a name such as "a_$b" is meant literally
        axes.text(text.x, text.y, text.text, fontsize=text.size, color=text.color,
                  ha=text.align, va="center", family="sans-serif", parse_math=False, zorder=3,
                  weight="bold" if text.bold else "normal")
    return figure


def _arrow_head(start: tuple[float, float], tip: tuple[float, float]
                ) -> tuple[tuple[float, float], ...]:
    """Return the corners of an arrow's head: tip, left, right; and the middle of its base."""
    length = math.dist(start, tip)
    across, down = (tip[0] - start[0]) / length, (tip[1] - start[1]) / length
    base = tip[0] - ARROW_HEAD * across, tip[1] - ARROW_HEAD * down
    half = 0.4 * ARROW_HEAD
    return (tip, (base[0] + half * down, base[1] - half * across),
            (base[0] - half * down, base[1] + half * across), base)
