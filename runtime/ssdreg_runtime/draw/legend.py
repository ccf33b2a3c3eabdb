"""The legend: a small strip that tells the classes of boxes whose labels were left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from PIL import ImageDraw

from ssdreg_runtime.draw.look import (
    Look,
    Style,
    fitted,
    font_of,
    label_width,
    padding_of,
    plate_height,
    style_of,
)
from ssdreg_runtime.draw.palette import BLACK, WHITE, Color
from ssdreg_runtime.draw.placing import least_hiding

_GROUND: Color = (32, 32, 32)

#: A legend that lies in its picture is no higher than this share of it, and then names no more.
_MOST_HEIGHT = 1 / 3

Rectangle = tuple[int, int, int, int]


@frozen
class Entry:
    """A class: its name as it is written, its colour, where it begins, and the line it is in.

    Without a colour it says how many classes are not named.
    """

    name: str
    color: Color | None
    x: int
    line: int


@frozen
class Legend:
    """Entries in lines of letters of `font`; `rectangle` is left, top, and those first outside.

    `place` is which of the places in a picture that is.
    """

    entries: tuple[Entry, ...]
    font: int
    rectangle: Rectangle
    place: int = 0


def legend_below(names: Sequence[tuple[str, Color]], size: tuple[int, int], style: Style
                 ) -> Legend | None:
    """Return the legend at the foot of a picture of `size`, as wide as it is; None without room."""
    font = _font(size, style)
    entries, _, height = _arranged(names, size, font)
    if not entries:
        return None
    return Legend(entries, font, (0, size[1], size[0], size[1] + height))


def legend_inside(names: Sequence[tuple[str, Color]], size: tuple[int, int], style: Style,
                  boxes: np.ndarray, before: Legend | None) -> Legend | None:
    """Return the legend at the edge of a picture of `size` where it hides least of `boxes` (N, 4).

    It stays where it was `before` while that is not much worse. Where the picture has no room for
    all names it has the first ones; None without room for any.
    """
    font = _font(size, style)
    count = len(names)
    entries, width, height = _arranged(names, size, font)
    while count and height > _MOST_HEIGHT * size[1]:
        count -= 1
        rest = (f"+{len(names) - count}", None)
        entries, width, height = _arranged([*names[:count], rest], size, font)
    if not count or not entries:
        return None
    places = [(x, y, x + width, y + height) for y in (size[1] - height, 0)
              for x in (0, size[0] - width, (size[0] - width) // 2)]
    place = least_hiding(places, boxes, None if before is None else before.place)
    return Legend(entries, font, places[place], place)


def draw_legend(pen: ImageDraw.ImageDraw, legend: Legend) -> None:
    """Draw the strip with a square of its colour before each name."""
    left, top, right, bottom = legend.rectangle
    pen.rectangle((left, top, right - 1, bottom - 1), fill=_GROUND)
    padding, height = padding_of(legend.font), plate_height(legend.font)
    side = _swatch(legend.font)
    for entry in legend.entries:
        x, middle = left + entry.x, top + padding + entry.line * height + height // 2
        if entry.color is not None:
            pen.rectangle((x, middle - side // 2, x + side - 1, middle - side // 2 + side - 1),
                          fill=entry.color, outline=BLACK)
        pen.text((x + side + 2 * padding, middle), entry.name, fill=WHITE,
                 font=font_of(legend.font), anchor="lm")


def _font(size: tuple[int, int], style: Style) -> int:
    # a small strip, however large the labels were asked to be
    return min(style.fonts[0], style_of(size, Look()).fonts[0])


def _swatch(font: int) -> int:
    return round(0.8 * font)


def _arranged(names: Sequence[tuple[str, Color | None]], size: tuple[int, int], font: int
              ) -> tuple[tuple[Entry, ...], int, int]:
    """Return the entries in lines that the picture is wide enough for, and the strip's size.

    There are none where it is too narrow for a name.
    """
    padding = padding_of(font)
    lead = _swatch(font) + 2 * padding
    x = line = widest = 0
    x = 2 * padding
    entries = []
    for name, color in names:
        shown = fitted(name, "", font, label_width(size))
        width = lead + round(font_of(font).getlength(shown))
        if x > 2 * padding and x + width + 2 * padding > size[0]:
            x, line = 2 * padding, line + 1
        entries.append(Entry(shown, color, x, line))
        widest = max(widest, x + width + 2 * padding)
        x += width + 6 * padding
    if widest > size[0]:
        return (), 0, 0
    return tuple(entries), widest, (line + 1) * plate_height(font) + 2 * padding
