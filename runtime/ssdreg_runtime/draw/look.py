"""How boxes and labels look: widths of lines, sizes of letters, and what of a label is shown."""

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

#: What `Look.line_width` and `Look.font_size` may be, in pixels.
LINE_WIDTHS, FONT_SIZES = (1, 100), (6, 400)

#: Letters of a crowded picture shrink down to this size in pixels, where they can still be read.
LEAST_FONT_SIZE = 10

#: The same as a share of the picture's shorter side, for large pictures are looked at from afar.
LEAST_FONT_SHARE = 1 / 60

#: What a picture gets by itself, as shares of its shorter side; letters are 11 pixels at least.
_LINE_SHARE, _FONT_SHARE, _LEAST_UNCROWDED = 1 / 160, 1 / 32, 11

#: The share of a picture that all labels together may have before their letters shrink, and how
#: much more than that before they do in a video.
_CROWDED, _SLACK = 1 / 8, 1.25

#: How much of the picture's width a label may take before its class name is cut.
_LABEL_SHARE = 0.6


def _of(kind: str, limits: tuple[int, int]) -> Callable[[Any, Any, int | None], None]:
    def check(_: Any, __: Any, value: int | None) -> None:
        least, most = limits
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and not (whole and least <= value <= most):
            raise DataError(f"a {kind} of {value} pixels cannot be drawn: give a whole number of "
                            f"{least} to {most}")

    return check


@frozen(kw_only=True)
class Look:
    """How detections are drawn; what is None follows the size of each picture.

    - `line_width`: of the boxes, 1 to 100 pixels
    - `font_size`: of all labels, 6 to 400 pixels; letters that follow the picture's size shrink
      where it is crowded, those of a size that is given do not
    - `hide_labels`: draw the boxes alone
    - `hide_scores`: leave the scores out of the labels

    Raises DataError for any other size.
    """

    line_width: int | None = field(default=None, validator=_of("line width", LINE_WIDTHS))
    font_size: int | None = field(default=None, validator=_of("font size", FONT_SIZES))
    hide_labels: bool = False
    hide_scores: bool = False


@frozen
class Style:
    """Sizes in pixels that suit one picture.

    `line` and `edge` are widths of a box's line and of the dark and the light one beside it;
    `fonts` are the sizes that letters may have, the one of an uncrowded picture first.
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


def crowded(style: Style, areas: Sequence[int], size: tuple[int, int], before: Style | None
            ) -> Style:
    """Return the style without the letters that are too large for so many labels.

    `areas` are what all labels together would have, in pixels, in letters of each size. `before`
    is the style of the frame before, whose largest letters are kept a little longer.
    """
    for first, (font, area) in enumerate(zip(style.fonts, areas)):
        slack = _SLACK if before is not None and font == before.fonts[0] else 1
        if area <= slack * _CROWDED * size[0] * size[1]:
            return evolve(style, fonts=style.fonts[first:])
    return evolve(style, fonts=style.fonts[-1:])


def _sizes(side: int) -> tuple[int, ...]:
    largest = max(_LEAST_UNCROWDED, round(side * _FONT_SHARE))
    least = max(LEAST_FONT_SIZE, round(side * LEAST_FONT_SHARE))
    return tuple(sorted({largest, (largest + least) // 2, least}, reverse=True))


@lru_cache(maxsize=64)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans where matplotlib, which carries it, is installed; else Pillow's font."""
    # found and not imported: matplotlib would look for a folder for its settings
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin:
        file = Path(matplotlib.origin).with_name("mpl-data") / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(file, size)
    # with a size it is never the bitmap font, which has no sizes
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def padding_of(font: int) -> int:
    """Return the pixels above and below letters of a size; beside them there are twice as many."""
    return max(1, round(font / 8))


@lru_cache(maxsize=64)
def plate_height(font: int) -> int:
    """Return the height of any label with letters of a size: from the font and not the text."""
    return sum(font_of(font).getmetrics()) + 2 * padding_of(font)


def plate_width(name: str, ending: str, font: int) -> int:
    """Return the width of the label that says name + ending."""
    return round(_length(name, font) + _length(ending, font)) + 4 * padding_of(font) + 1


# names are few and scores of two digits too: measured once and not in every frame
@lru_cache(maxsize=4096)
def _length(text: str, font: int) -> float:
    return font_of(font).getlength(text)


@lru_cache(maxsize=4096)
def fitted(name: str, ending: str, font: int, width: float) -> str:
    """Return `name`, cut where the label name + ending would be wider than `width` pixels."""
    whole = " ".join(name.split())
    left, shown = whole, whole
    while left and plate_width(shown, ending, font) > width:
        left = left[:-1]
        shown = f"{left.rstrip()}…"
    return shown


def label_width(size: tuple[int, int]) -> float:
    """Return how wide a label may be in a picture of (width, height) pixels."""
    return _LABEL_SHARE * size[0]
