"""The legend: a strip that names the classes of boxes whose labels were left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from PIL import ImageDraw

from ssdreg_runtime.draw.look import (
    Look,
    Style,
    fit_name,
    font_of,
    label_width,
    padding_of,
    plate_height,
    style_of,
)
from ssdreg_runtime.draw.palette import BLACK, WHITE, Color
from ssdreg_runtime.draw.placing import least_hiding

_BACKGROUND: Color = (32, 32, 32)

#: The highest share of its picture's height that a legend inside it takes; it names what fits.
_MAX_HEIGHT_SHARE = 1 / 3

#: left, top, right, bottom in pixels; the last two are the first column and row outside.
Rectangle = tuple[int, int, int, int]


@frozen
class LegendEntry:
    """A class: its name as it is written, its colour, and its place: `x` in pixels, and the line.

    The entry without a colour states how many classes are not named.
    """

    name: str
    color: Color | None
    x: int
    line: int


@frozen
class Legend:
    """Entries in lines, in the font size `font`, and the rectangle that they cover.

    `place` is the index of the rectangle among those that were tried in the picture.
    """

    entries: tuple[LegendEntry, ...]
    font: int
    rectangle: Rectangle
    place: int = 0


def legend_below(names: Sequence[tuple[str, Color]], size: tuple[int, int], style: Style
                 ) -> Legend | None:
    """Return the legend below a picture of `size`, as wide as it; None where no name fits."""
    font = _font(size, style)
    entries, _, height = _arrange(names, size, font)
    if not entries:
        return None
    return Legend(entries, font, (0, size[1], size[0], size[1] + height))


def legend_inside(names: Sequence[tuple[str, Color]], size: tuple[int, int], style: Style,
                  boxes: np.ndarray, before: Legend | None) -> Legend | None:
    """Return the legend at the edge of a picture of `size` where it hides least of `boxes` (N, 4).

    It stays where it was `before` while that hides little more. Where the picture has no room for
    all names it has the first ones; None where no name fits.
    """
    font = _font(size, style)
    count = len(names)
    entries, width, height = _arrange(names, size, font)
    while count and height > _MAX_HEIGHT_SHARE * size[1]:
        count -= 1
        rest = (f"+{len(names) - count}", None)
        entries, width, height = _arrange([*names[:count], rest], size, font)
    if not count or not entries:
        return None
    places = [(x, y, x + width, y + height) for y in (size[1] - height, 0)
              for x in (0, size[0] - width, (size[0] - width) // 2)]
    place = least_hiding(places, boxes, None if before is None else before.place)
    return Legend(entries, font, places[place], place)


def draw_legend(pen: ImageDraw.ImageDraw, legend: Legend) -> None:
    """Draw the strip, with a square of its colour before each name."""
    left, top, right, bottom = legend.rectangle
    pen.rectangle((left, top, right - 1, bottom - 1), fill=_BACKGROUND)
    padding, height = padding_of(legend.font), plate_height(legend.font)
    side = _swatch_side(legend.font)
    for entry in legend.entries:
        x, middle = left + entry.x, top + padding + entry.line * height + height // 2
        if entry.color is not None:
            pen.rectangle((x, middle - side // 2, x + side - 1, middle - side // 2 + side - 1),
                          fill=entry.color, outline=BLACK)
        pen.text((x + side + 2 * padding, middle), entry.name, fill=WHITE,
                 font=font_of(legend.font), anchor="lm")


def _font(size: tuple[int, int], style: Style) -> int:
    # the default size at most, however large the labels are set
    return min(style.fonts[0], style_of(size, Look()).fonts[0])


def _swatch_side(font: int) -> int:
    return round(0.8 * font)


def _arrange(names: Sequence[tuple[str, Color | None]], size: tuple[int, int], font: int
             ) -> tuple[tuple[LegendEntry, ...], int, int]:
    """Return the entries in lines no wider than the picture, and the strip's width and height.

    There are no entries where a name is wider than the picture.
    """
    padding = padding_of(font)
    lead = _swatch_side(font) + 2 * padding
    x = line = widest = 0
    x = 2 * padding
    entries = []
    for name, color in names:
        shown = fit_name(name, "", font, label_width(size))
        width = lead + round(font_of(font).getlength(shown))
        if x > 2 * padding and x + width + 2 * padding > size[0]:
            x, line = 2 * padding, line + 1
        entries.append(LegendEntry(shown, color, x, line))
        widest = max(widest, x + width + 2 * padding)
        x += width + 6 * padding
    if widest > size[0]:
        return (), 0, 0
    return tuple(entries), widest, (line + 1) * plate_height(font) + 2 * padding
