"""Boxes, class names and scores drawn into pictures, and sheets of such pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageOps

from ssdreg_runtime.draw.layout import BoxMark, PictureLayout, plan_frame, plan_picture, plan_truths
from ssdreg_runtime.draw.legend import draw_legend
from ssdreg_runtime.draw.look import (
    Look,
    Style,
    fit_name,
    font_of,
    padding_of,
    plate_height,
    style_of,
)
from ssdreg_runtime.draw.palette import BLACK, WHITE, Color, text_color
from ssdreg_runtime.draw.placing import PlacedLabel
from ssdreg_runtime.errors import DataError

#: left, top, right, bottom in pixels; the last two are the last column and row inside.
InclusiveRectangle = tuple[int, int, int, int]

_SHEET_BACKGROUND: Color = (236, 236, 236)
_SHEET_GAP = 8

#: Smaller pictures are enlarged before drawing, or labels would cover the objects.
_LEAST_SIDE = 240
_LARGEST_ENLARGED_SIDE = 2000

_DEFAULT = Look()


def draw_boxes(image: Image.Image, detections: ArrayLike, class_names: Sequence[str],
               threshold: float = 0.5, look: Look = _DEFAULT,
               ids: np.ndarray | None = None) -> Image.Image:
    """Return a new RGB picture with the detections whose score is `threshold` or more.

    `detections` is (N, 6): class, score, x1, y1, x2, y2, with the coordinates relative to the
    picture, 0 to 1; rows of a class below zero are padding. Boxes that leave the picture are cut
    at its border. High scores are drawn over low ones. A picture whose shorter side is below 240
    pixels is enlarged by a whole number, so that labels leave something of it to see. Raises
    DataError for other columns, for a class without a name, or for a number that is not finite.

    Labels hide little of other boxes and nothing of one another. In a crowd their font shrinks,
    and where there is no room, low scores lose their labels and keep their boxes; a legend, a strip
    added below the picture, then names their classes. `look` sets line width, font size, and the
    parts of labels that show. `ids`, (N,) integers, are the numbers of objects that are followed,
    which stand behind their names; -1 for none.

    Labels are in DejaVu Sans where matplotlib, which carries it, is installed: it has European
    and several other scripts. Elsewhere they are in Pillow's own font, which has ASCII only, and
    any other letter is a crossed box; nothing else changes.
    """
    picture = _canvas(image)
    layout = plan_picture(picture.size, detections, class_names, threshold, look, ids)
    picture = _with_legend(picture, layout)
    draw_plan(picture, layout)
    return picture


def mark_boxes(picture: Image.Image, detections: ArrayLike, class_names: Sequence[str],
               threshold: float = 0.5, look: Look = _DEFAULT) -> None:
    """Draw into an RGB picture itself what `draw_boxes` draws, at the size that it has.

    A legend lies in it, where it hides least of the boxes.
    """
    draw_plan(picture, plan_frame(picture.size, detections, class_names, threshold, look))


def draw_plan(picture: Image.Image, layout: PictureLayout) -> None:
    """Draw a layout into the RGB picture itself, whose size it was made for."""
    pen = ImageDraw.Draw(picture)
    for mark in reversed(layout.marks):
        _draw_solid(pen, mark, layout.style)
    # after all boxes: no line may cross a label
    for mark, label in zip(layout.marks, layout.labels):
        if label is not None:
            _draw_label(pen, mark, label, mark.color, text_color(mark.color), layout.style)
    if layout.legend is not None:
        draw_legend(pen, layout.legend)


def draw_truths(image: Image.Image, truths: ArrayLike, class_names: Sequence[str],
                look: Look = _DEFAULT) -> Image.Image:
    """Return a new RGB picture with ground truths: dashed boxes, and labels on black.

    `truths` is (M, 5) or (M, 6): class, x1, y1, x2, y2[, difficult], with the coordinates relative
    to the picture, 0 to 1; rows of a class below zero are padding. The label of a difficult object
    says so. Small pictures are enlarged, labels shrink and give way, the last ones first, and
    DataError is raised, as by `draw_boxes`.
    """
    picture = _canvas(image)
    layout = plan_truths(picture.size, truths, class_names, look)
    picture = _with_legend(picture, layout)
    pen = ImageDraw.Draw(picture)
    for mark in layout.marks:
        _draw_dashed(pen, mark, layout.style)
    for mark, label in zip(layout.marks, layout.labels):
        if label is not None:
            # text in the darker class colours would be dim on black
            letters = mark.color if text_color(mark.color) == BLACK else WHITE
            _draw_label(pen, mark, label, BLACK, letters, layout.style)
    if layout.legend is not None:
        draw_legend(pen, layout.legend)
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
    font = style_of(cell, _DEFAULT).fonts[0]
    strip = 0 if captions is None else plate_height(font)
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
                     fit_name(captions[index], "", font, cell[0]),
                     fill=BLACK, font=font_of(font), anchor="mm")
    return sheet


def _canvas(image: Image.Image) -> Image.Image:
    """Return an RGB copy to draw on, enlarged if it is small."""
    needed = -(-_LEAST_SIDE // min(image.size))
    factor = max(1, min(needed, _LARGEST_ENLARGED_SIDE // max(image.size)))
    return image.convert("RGB").resize((image.width * factor, image.height * factor))


def _with_legend(picture: Image.Image, layout: PictureLayout) -> Image.Image:
    """Return the picture with room below it for the layout's legend."""
    if layout.legend is None:
        return picture
    larger = Image.new("RGB", (picture.width, layout.legend.rectangle[3]))
    larger.paste(picture)
    return larger


def _expanded(box: InclusiveRectangle, by: int) -> InclusiveRectangle:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def _draw_solid(pen: ImageDraw.ImageDraw, mark: BoxMark, style: Style) -> None:
    pen.rectangle(_expanded(mark.box, style.edge), outline=BLACK, width=style.edge)
    pen.rectangle(mark.box, outline=mark.color, width=style.line)
    left, top, right, bottom = inner = _expanded(mark.box, -style.line)
    # a box of a few pixels has no room for a light edge
    if min(right - left, bottom - top) > 4 * style.edge:
        pen.rectangle(inner, outline=WHITE, width=style.edge)


def _draw_dashed(pen: ImageDraw.ImageDraw, mark: BoxMark, style: Style) -> None:
    pen.rectangle(_expanded(mark.box, style.edge), outline=BLACK, width=style.line + 2 * style.edge)
    left, top, right, bottom = mark.box
    dash = 4 * style.line
    thick = style.line - 1
    for start in range(left, right + 1, 2 * dash):
        end = min(start + dash - 1, right)
        for y in (top, max(bottom - thick, top)):
            pen.rectangle((start, y, end, y + thick), fill=mark.color)
    for start in range(top, bottom + 1, 2 * dash):
        end = min(start + dash - 1, bottom)
        for x in (left, max(right - thick, left)):
            pen.rectangle((x, start, x + thick, end), fill=mark.color)


def _draw_label(pen: ImageDraw.ImageDraw, mark: BoxMark, label: PlacedLabel, fill: Color,
                letters: Color, style: Style) -> None:
    left, top, right, bottom = label.rectangle
    font = style.fonts[label.plate]
    pen.rectangle((left, top, right - 1, bottom - 1), fill=fill, outline=BLACK, width=style.edge)
    pen.text((left + 2 * padding_of(font), (top + bottom) / 2),
             mark.names[label.plate] + mark.ending, fill=letters, font=font_of(font), anchor="lm")
