"""Boxes, class names and scores drawn into pictures, and sheets of such pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.palette import BLACK, WHITE, Colour, class_colours, text_colour
from ssdreg_runtime.rows import detection_rows, truth_rows

#: left, top, right, bottom in pixels; the last two are the last column and row inside.
Rectangle = tuple[int, int, int, int]

_SHEET_BACKGROUND: Colour = (236, 236, 236)
_SHEET_GAP = 8

#: Smaller pictures are enlarged before anything is drawn, or labels would cover what they name.
_LEAST_SIDE = 240
_LARGEST_ENLARGED_SIDE = 2000

#: How much of the picture's width a label may take before its class name is cut.
_LABEL_SHARE = 0.6


@frozen
class _Style:
    """Sizes in pixels that suit one picture."""

    line: int
    edge: int
    padding: int
    font: ImageFont.FreeTypeFont

    @property
    def plate_height(self) -> int:
        # from the font and not the text, so that all plates of a picture are equally high
        return sum(self.font.getmetrics()) + 2 * self.padding

    def plate_width(self, text: str) -> int:
        return round(self.font.getlength(text)) + 4 * self.padding + 1


@frozen
class _Mark:
    """One box to draw."""

    box: Rectangle
    colour: Colour
    text: str


def draw_boxes(image: Image.Image, detections: ArrayLike, class_names: Sequence[str],
               threshold: float = 0.5) -> Image.Image:
    """Return a new RGB picture with the detections whose score is `threshold` or more.

    `detections` is (N, 6): class, score, x1, y1, x2, y2, with the coordinates relative to the
    picture, 0 to 1; rows of a class below zero are padding. Boxes that leave the picture are cut
    at its border. High scores are drawn over low ones. A picture whose shorter side is below 240
    pixels is enlarged by a whole number, so that labels leave something of it to see. Raises
    DataError for other columns, for a class without a name, or for a number that is not finite.

    Labels are in DejaVu Sans where matplotlib, which carries it, is installed: it has European
    and several other scripts. Elsewhere they are in Pillow's own font, which has ASCII only, and
    any other letter is a crossed box; nothing else changes.
    """
    picture = _canvas(image)
    mark_boxes(picture, detections, class_names, threshold)
    return picture


def mark_boxes(picture: Image.Image, detections: ArrayLike, class_names: Sequence[str],
               threshold: float = 0.5) -> None:
    """Draw into an RGB picture itself what `draw_boxes` draws, at the size that it has."""
    rows = detection_rows(detections, len(class_names), "the picture")
    rows = rows[rows[:, 1] >= threshold]
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    style = _style(picture.size)
    marks = _marks([(int(label), box, f" {score:.2f}") for label, score, *box in rows],
                   class_names, style, picture.size)
    pen = ImageDraw.Draw(picture)
    for mark in marks:
        _draw_solid(pen, mark, style)
    # after all boxes: no line may cross a label
    for mark, plate in zip(marks, _plates(marks, style, picture.size)):
        _draw_plate(pen, plate, mark.text, mark.colour, text_colour(mark.colour), style)


def draw_truths(image: Image.Image, truths: ArrayLike,
                class_names: Sequence[str]) -> Image.Image:
    """Return a new RGB picture with ground truths: dashed boxes, and labels on black.

    `truths` is (M, 5) or (M, 6): class, x1, y1, x2, y2[, difficult], with the coordinates relative
    to the picture, 0 to 1; rows of a class below zero are padding. The label of a difficult object
    says so. Small pictures are enlarged, and DataError is raised, as by `draw_boxes`.
    """
    rows = truth_rows(truths, len(class_names), "the picture")
    picture = _canvas(image)
    style = _style(picture.size)
    marks = _marks([(int(label), box, " (difficult)" if difficult else "")
                    for label, *box, difficult in rows], class_names, style, picture.size)
    pen = ImageDraw.Draw(picture)
    for mark in marks:
        _draw_dashed(pen, mark, style)
    for mark, plate in zip(marks, _plates(marks, style, picture.size)):
        # the darker class colours would be dim letters on black
        letters = mark.colour if text_colour(mark.colour) == BLACK else WHITE
        _draw_plate(pen, plate, mark.text, BLACK, letters, style)
    return picture


def contact_sheet(images: Sequence[Image.Image], columns: int,
                  captions: Sequence[str] | None = None,
                  cell: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return one RGB picture with `images` in rows of `columns`, each with its caption below.

    `cell` is the width and height in pixels that an image is scaled to fit, its proportions kept.
    Raises DataError where there are no images, no columns, or not one caption an image.
    """
    if not images:
        raise DataError("a contact sheet needs at least one image; there is none")
    if columns < 1:
        raise DataError(f"a contact sheet cannot have {columns} columns; give 1 or more")
    if captions is not None and len(captions) != len(images):
        raise DataError(f"there are {len(captions)} captions for {len(images)} images; "
                        "give one for each")
    style = _style(cell)
    strip = 0 if captions is None else style.plate_height
    columns = min(columns, len(images))
    step_x, step_y = cell[0] + _SHEET_GAP, cell[1] + strip + _SHEET_GAP
    lines = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step_x + _SHEET_GAP, lines * step_y + _SHEET_GAP),
                      _SHEET_BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        left = _SHEET_GAP + index % columns * step_x
        top = _SHEET_GAP + index // columns * step_y
        small = ImageOps.contain(image.convert("RGB"), cell)
        sheet.paste(small, (left + (cell[0] - small.width) // 2,
                            top + (cell[1] - small.height) // 2))
        if captions is not None:
            pen.text((left + cell[0] / 2, top + cell[1] + strip / 2),
                     _fitted(captions[index], "", style, cell[0]),
                     fill=BLACK, font=style.font, anchor="mm")
    return sheet


def _marks(labelled: Sequence[tuple[int, Sequence[float], str]], class_names: Sequence[str],
           style: _Style, size: tuple[int, int]) -> list[_Mark]:
    """Place boxes, each given with its class and what its label says behind the class's name."""
    colours = class_colours(len(class_names))
    return [_Mark(_pixels(box, size), colours[label],
                  _fitted(class_names[label], ending, style, _LABEL_SHARE * size[0]))
            for label, box, ending in labelled]


def _canvas(image: Image.Image) -> Image.Image:
    """Return an RGB copy to draw on, enlarged if it is small."""
    wanted = -(-_LEAST_SIDE // min(image.size))
    factor = max(1, min(wanted, _LARGEST_ENLARGED_SIDE // max(image.size)))
    return image.convert("RGB").resize((image.width * factor, image.height * factor))


def _style(size: tuple[int, int]) -> _Style:
    side = min(size)
    return _Style(line=max(1, round(side / 160)), edge=max(1, round(side / 600)),
                  padding=max(1, round(side / 240)), font=_font(max(11, round(side / 32))))


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # found and not imported: matplotlib would look for a folder for its settings
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin:
        file = Path(matplotlib.origin).with_name("mpl-data") / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(file, size)
    # with a size it is never the bitmap font, which has no sizes
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def _fitted(name: str, ending: str, style: _Style, width: float) -> str:
    """Return name + ending, the name cut where its plate would be wider than `width` pixels."""
    name = " ".join(name.split())
    text = name + ending
    while name and style.plate_width(text) > width:
        name = name[:-1]
        text = f"{name.rstrip()}…{ending}"
    return text


def _pixels(box: Sequence[float], size: tuple[int, int]) -> Rectangle:
    """Return a relative box in pixels, at least one pixel wide and high, inside the picture."""
    width, height = size
    x1, y1, x2, y2 = np.clip(box, 0, 1)
    left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
    return (left, top, max(round(x2 * width) - 1, left), max(round(y2 * height) - 1, top))


def _grown(box: Rectangle, by: int) -> Rectangle:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def _draw_solid(pen: ImageDraw.ImageDraw, mark: _Mark, style: _Style) -> None:
    pen.rectangle(_grown(mark.box, style.edge), outline=BLACK, width=style.edge)
    pen.rectangle(mark.box, outline=mark.colour, width=style.line)
    left, top, right, bottom = inner = _grown(mark.box, -style.line)
    # a box of a few pixels has no room for a light edge
    if min(right - left, bottom - top) > 4 * style.edge:
        pen.rectangle(inner, outline=WHITE, width=style.edge)


def _draw_dashed(pen: ImageDraw.ImageDraw, mark: _Mark, style: _Style) -> None:
    pen.rectangle(_grown(mark.box, style.edge), outline=BLACK, width=style.line + 2 * style.edge)
    left, top, right, bottom = mark.box
    dash = 4 * style.line
    thick = style.line - 1
    for start in range(left, right + 1, 2 * dash):
        end = min(start + dash - 1, right)
        for y in (top, max(bottom - thick, top)):
            pen.rectangle((start, y, end, y + thick), fill=mark.colour)
    for start in range(top, bottom + 1, 2 * dash):
        end = min(start + dash - 1, bottom)
        for x in (left, max(right - thick, left)):
            pen.rectangle((x, start, x + thick, end), fill=mark.colour)


def _draw_plate(pen: ImageDraw.ImageDraw, plate: Rectangle, text: str, fill: Colour,
                letters: Colour, style: _Style) -> None:
    pen.rectangle(plate, fill=fill, outline=BLACK, width=style.edge)
    pen.text((plate[0] + 2 * style.padding, (plate[1] + plate[3] + 1) / 2), text,
             fill=letters, font=style.font, anchor="lm")


def _plates(marks: Sequence[_Mark], style: _Style, size: tuple[int, int]) -> list[Rectangle]:
    """Return where the label of each mark goes; the last marks choose first."""
    chosen: list[Rectangle] = []
    for mark in reversed(marks):
        places = _places(mark, style, size)
        # min() keeps the first of equals, and the places come in order of preference
        chosen.append(min(places, key=lambda place: sum(_overlap(place, c) for c in chosen)))
    return chosen[::-1]


def _places(mark: _Mark, style: _Style, size: tuple[int, int]) -> list[Rectangle]:
    """Return the plates that a mark may have, best first, all inside the picture."""
    width, height = style.plate_width(mark.text), style.plate_height
    left, top, right, bottom = _grown(mark.box, style.edge)
    above, below = top - height + style.edge, bottom - style.edge + 1
    corners = [(left, above), (right - width + 1, above), (left, top), (left, below),
               (right - width + 1, below), (right - width + 1, top),
               (left, bottom - height + 1), (right - width + 1, bottom - height + 1)]
    fitting = [(x, y) for x, y in corners if y >= 0 and y + height <= size[1]]
    places = []
    for x, y in fitting or corners:
        x = max(0, min(x, size[0] - width))
        y = max(0, min(y, size[1] - height))
        places.append((x, y, x + width - 1, y + height - 1))
    return places


def _overlap(a: Rectangle, b: Rectangle) -> int:
    """Return the number of pixels that two rectangles share."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    return max(0, width) * max(0, height)
