"""The look of boxes and labels: line widths, font sizes, and the parts of a label that show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import Any, cast

from attrs import evolve, field, frozen
from PIL import ImageFont

from ssdreg_runtime.errors import DataError

#: The limits of `Look.line_width` and `Look.font_size`, in pixels.
LINE_WIDTHS, FONT_SIZES = (1, 100), (6, 400)

#: The font size in pixels that labels of a crowded picture shrink to: the least that is legible.
LEAST_FONT_SIZE = 10

#: The same as a share of the picture's shorter side, as large pictures are viewed scaled down.
LEAST_FONT_SHARE = 1 / 60

#: Default line width and font size as shares of the picture's shorter side, and the least size.
_LINE_SHARE, _FONT_SHARE, _LEAST_UNCROWDED_FONT = 1 / 160, 1 / 32, 11

#: The share of a picture that all labels together may cover before their font shrinks, and the
#: factor on it before a video's font shrinks.
_CROWDED_SHARE, _VIDEO_SLACK = 1 / 8, 1.25

#: The share of the picture's width that a label may take before its class name is cut.
_LABEL_SHARE = 0.6


def _in_pixels(kind: str, limits: tuple[int, int]) -> Callable[[Any, Any, int | None], None]:
    def check(_: Any, __: Any, value: int | None) -> None:
        least, most = limits
        is_integer = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and not (is_integer and least <= value <= most):
            raise DataError(f"a {kind} of {value} pixels cannot be drawn: give a whole number of "
                            f"{least} to {most}")

    return check


@frozen(kw_only=True)
class Look:
    """How detections are drawn; a size of None follows the size of each picture.

    - `line_width`: of the boxes, 1 to 100 pixels
    - `font_size`: of all labels, 6 to 400 pixels; a default size shrinks in crowded pictures, a
      given one does not
    - `hide_labels`: draw the boxes alone
    - `hide_scores`: leave the scores out of the labels

    Raises DataError for any other size.
    """

    line_width: int | None = field(default=None, validator=_in_pixels("line width", LINE_WIDTHS))
    font_size: int | None = field(default=None, validator=_in_pixels("font size", FONT_SIZES))
    hide_labels: bool = False
    hide_scores: bool = False


@frozen
class Style:
    """Sizes in pixels that suit one picture.

    `line` and `edge` are widths of a box's line and of the dark and the light one beside it;
    `fonts` are the font sizes to choose from, the one of an uncrowded picture first.
    """

    line: int
    edge: int
    fonts: tuple[int, ...]


def style_of(size: tuple[int, int], look: Look) -> Style:
    """Return the sizes for a picture of (width, height) pixels."""
    side = min(size)
    line = look.line_width or max(1, round(side * _LINE_SHARE))
    fonts = (look.font_size,) if look.font_size else _sizes(side)
    return Style(line=line, edge=max(1, round(line * 4 / 15)), fonts=fonts)


def limit_fonts(style: Style, areas: Sequence[int], size: tuple[int, int], before: Style | None
                ) -> Style:
    """Return the style without the font sizes that are too large for so many labels.

    `areas` are the pixels that all labels together would cover in each font size. `before` is the
    style of the previous frame, whose largest font is kept while it exceeds the limit a little.
    """
    for first, (font, area) in enumerate(zip(style.fonts, areas)):
        slack = _VIDEO_SLACK if before is not None and font == before.fonts[0] else 1
        if area <= slack * _CROWDED_SHARE * size[0] * size[1]:
            return evolve(style, fonts=style.fonts[first:])
    return evolve(style, fonts=style.fonts[-1:])


def _sizes(side: int) -> tuple[int, ...]:
    largest = max(_LEAST_UNCROWDED_FONT, round(side * _FONT_SHARE))
    least = max(LEAST_FONT_SIZE, round(side * LEAST_FONT_SHARE))
    return tuple(sorted({largest, (largest + least) // 2, least}, reverse=True))


@lru_cache(maxsize=64)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans where matplotlib, which carries it, is installed; else Pillow's font."""
    # looked up and not imported: on import matplotlib searches a folder for its settings
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin:
        file = Path(matplotlib.origin).with_name("mpl-data") / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(file, size)
    # with a size Pillow never returns its bitmap font, which has none
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def padding_of(font: int) -> int:
    """Return the pixels above and below text of a font size; left and right have twice as many."""
    return max(1, round(font / 8))


@lru_cache(maxsize=64)
def plate_height(font: int) -> int:
    """Return the height in pixels of every label in a font size, whatever its text."""
    return sum(font_of(font).getmetrics()) + 2 * padding_of(font)


def plate_width(name: str, ending: str, font: int) -> int:
    """Return the width in pixels of the label with the text name + ending."""
    return round(_text_length(name, font) + _text_length(ending, font)) + 4 * padding_of(font) + 1


# names are few, and so are scores of two digits: measured once and not in every frame
@lru_cache(maxsize=4096)
def _text_length(text: str, font: int) -> float:
    return font_of(font).getlength(text)


@lru_cache(maxsize=4096)
def fit_name(name: str, ending: str, font: int, width: float) -> str:
    """Return `name`, cut where the label name + ending would be wider than `width` pixels."""
    full_name = " ".join(name.split())
    left, shown = full_name, full_name
    while left and plate_width(shown, ending, font) > width:
        left = left[:-1]
        shown = f"{left.rstrip()}…"
    return shown


def label_width(size: tuple[int, int]) -> float:
    """Return the greatest width of a label, in pixels, in a picture of (width, height) pixels."""
    return _LABEL_SHARE * size[0]
