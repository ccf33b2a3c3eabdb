"""The layout of a picture: its boxes, the places of their labels, and the legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from ssdreg_runtime.boxes.rows import detection_rows, truth_rows
from ssdreg_runtime.draw.legend import Legend, legend_below, legend_inside
from ssdreg_runtime.draw.look import (
    Look,
    Style,
    fit_name,
    label_width,
    limit_fonts,
    plate_height,
    plate_width,
    style_of,
)
from ssdreg_runtime.draw.palette import Color, class_colors
from ssdreg_runtime.draw.placing import PlacedLabel, match_objects, place_labels

Size = tuple[int, int]

#: In a video, what the score of an object that had a label counts more in the placing order.
_STABILITY_BONUS = 0.2

#: In a video, the frames that a class stays in the legend after it was last needed there.
_LEGEND_FRAMES = 50

#: The class, the corners as shares of the picture, and the label's ending after the class name.
_LabeledBox = tuple[int, Sequence[float], str]


@frozen
class BoxMark:
    """A box to draw.

    - `box`: left, top, right, bottom in pixels; the last two are the last column and row inside
    - `names`: its class's name, cut to the room there is, for each font size of the style
    - `ending`: what the label says after the name
    """

    box: tuple[int, int, int, int]
    label: int
    color: Color
    ending: str
    names: tuple[str, ...]


@frozen(eq=False)
class PictureLayout:
    """Marks, the highest score first, and the label of each; None where it is left out.

    `unlabeled` are the classes in the legend, each with the number of frames it stays there.
    """

    style: Style
    marks: tuple[BoxMark, ...]
    labels: tuple[PlacedLabel | None, ...]
    legend: Legend | None = None
    unlabeled: Mapping[int, int] = {}


def plan_picture(size: Size, detections: ArrayLike, class_names: Sequence[str], threshold: float,
                 look: Look, ids: np.ndarray | None = None) -> PictureLayout:
    """Lay out a picture of `size` (width, height); its legend is to be added below it.

    `ids` are the numbers of the objects, a row each, where they are followed; -1 for none.
    """
    rows, ids = _strongest(detections, class_names, threshold, ids)
    return _lay_out_picture(size, _labeled_boxes(rows, ids, look), class_names, look)


def plan_truths(size: Size, truths: ArrayLike, class_names: Sequence[str], look: Look
                ) -> PictureLayout:
    """Lay out a picture with ground truths; its legend is to be added below it."""
    rows = truth_rows(truths, len(class_names), "the picture")
    return _lay_out_picture(size, [(int(label), box, " (difficult)" if difficult else "")
                                   for label, *box, difficult in rows], class_names, look)


def plan_frame(size: Size, detections: ArrayLike, class_names: Sequence[str], threshold: float,
               look: Look, before: PictureLayout | None = None,
               ids: np.ndarray | None = None) -> PictureLayout:
    """Lay out a frame of a video, whose size cannot change: its legend lies in it.

    `before` is the layout of the previous frame. Labels of objects that were in it keep their
    place, font size and placing order where they can, and the legend stays for some frames.
    `ids` are those of `plan_picture`.
    """
    rows, ids = _strongest(detections, class_names, threshold, ids)
    style = style_of(size, look)
    marks = _marks(_labeled_boxes(rows, ids, look), class_names, style, size)
    if look.hide_labels:
        return PictureLayout(style, marks, (None,) * len(marks))
    style, marks = _limit_fonts(style, marks, size, None if before is None else before.style)
    boxes, previous_labels = _boxes(marks), _previous_labels(marks, style, before)
    turns = np.argsort([-score - _STABILITY_BONUS * (label is not None)
                        for score, label in zip(rows[:, 1], previous_labels)], kind="stable")
    lasting = {} if before is None else {label: frames_left - 1 for label, frames_left in
                                         before.unlabeled.items() if frames_left > 1}

    def legend_of(classes: Mapping[int, int]) -> Legend | None:
        return legend_inside(_legend_names(classes, class_names), size, style, boxes,
                             None if before is None else before.legend)

    legend = legend_of(lasting)
    while True:
        labels = _place_labels(marks, style, size, turns, legend,
                               None if before is None else previous_labels)
        # the legend takes room from labels, so that more classes may need it; it only grows
        lasting = {**lasting, **dict.fromkeys(_unlabeled_classes(marks, labels), _LEGEND_FRAMES)}
        larger = legend_of(lasting)
        if larger == legend:
            return PictureLayout(style, marks, labels, legend, lasting)
        legend = larger


def _lay_out_picture(size: Size, labeled: Sequence[_LabeledBox], class_names: Sequence[str],
                     look: Look) -> PictureLayout:
    style = style_of(size, look)
    marks = _marks(labeled, class_names, style, size)
    if look.hide_labels:
        return PictureLayout(style, marks, (None,) * len(marks))
    style, marks = _limit_fonts(style, marks, size, None)
    labels = _place_labels(marks, style, size, np.arange(len(marks)))
    unlabeled = dict.fromkeys(_unlabeled_classes(marks, labels), 1)
    legend = legend_below(_legend_names(unlabeled, class_names), size, style)
    return PictureLayout(style, marks, labels, legend, unlabeled)


def _strongest(detections: ArrayLike, class_names: Sequence[str], threshold: float,
               ids: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `threshold` or more, best first, and their ids."""
    rows = detection_rows(detections, len(class_names), "the picture")
    # where there are ids no row is padding
    known = np.full(len(rows), -1, np.int64) if ids is None else ids
    places = np.flatnonzero(rows[:, 1] >= threshold)
    places = places[np.argsort(-rows[places, 1], kind="stable")]
    return rows[places], known[places]


def _labeled_boxes(rows: np.ndarray, ids: np.ndarray, look: Look) -> list[_LabeledBox]:
    return [(int(label), box, (f" #{track}" if track >= 0 else "")
             + ("" if look.hide_scores else f" {score:.2f}"))
            for (label, score, *box), track in zip(rows, ids)]


def _marks(labeled: Sequence[_LabeledBox], class_names: Sequence[str], style: Style, size: Size
           ) -> tuple[BoxMark, ...]:
    colors, widest = class_colors(len(class_names)), label_width(size)
    return tuple(BoxMark(_pixels(box, size), label, colors[label], ending,
                         tuple(fit_name(class_names[label], ending, font, widest)
                               for font in style.fonts))
                 for label, box, ending in labeled)


def _plates(marks: Sequence[BoxMark], style: Style) -> np.ndarray:
    """Return the width and height (N, S, 2) of each label in each font size, in pixels."""
    return np.array([[(plate_width(name, mark.ending, font), plate_height(font))
                      for name, font in zip(mark.names, style.fonts)] for mark in marks],
                    np.int64).reshape(len(marks), len(style.fonts), 2)


def _limit_fonts(style: Style, marks: tuple[BoxMark, ...], size: Size, before: Style | None
                 ) -> tuple[Style, tuple[BoxMark, ...]]:
    """Leave out the font sizes that are too large for so many labels."""
    areas = _plates(marks, style).prod(axis=2).sum(axis=0)
    limited = limit_fonts(style, areas.tolist(), size, before)
    return limited, tuple(evolve(mark, names=mark.names[-len(limited.fonts):]) for mark in marks)


def _place_labels(marks: Sequence[BoxMark], style: Style, size: Size, turns: np.ndarray,
                  legend: Legend | None = None,
                  previous_labels: Sequence[PlacedLabel | None] | None = None
                  ) -> tuple[PlacedLabel | None, ...]:
    """Place labels in the order of `turns` (N,), which are indices of marks."""
    placed = place_labels(_boxes(marks)[turns], _plates(marks, style)[turns], size, style.edge,
                          [legend.rectangle] if legend else [],
                          None if previous_labels is None
                          else [previous_labels[turn] for turn in turns])
    labels: list[PlacedLabel | None] = [None] * len(marks)
    for turn, label in zip(turns, placed):
        labels[turn] = label
    return tuple(labels)


def _previous_labels(marks: Sequence[BoxMark], style: Style, before: PictureLayout | None
                     ) -> list[PlacedLabel | None]:
    """Return the label that each marked object had in the previous frame, in a size of `style`."""
    if before is None:
        return [None] * len(marks)
    previous_indices = match_objects(_boxes(marks), _classes(marks), _boxes(before.marks),
                                     _classes(before.marks))
    labels = [None if index is None else before.labels[index] for index in previous_indices]
    # where the font sizes have changed, the places at least are kept
    plates = [style.fonts.index(font) if font in style.fonts else 0 for font in before.style.fonts]
    return [label and evolve(label, plate=plates[label.plate]) for label in labels]


def _unlabeled_classes(marks: Sequence[BoxMark], labels: Sequence[PlacedLabel | None]) -> set[int]:
    return {mark.label for mark, label in zip(marks, labels) if label is None}


def _legend_names(classes: Mapping[int, int], class_names: Sequence[str]
                  ) -> list[tuple[str, Color]]:
    colors = class_colors(len(class_names))
    return [(class_names[label], colors[label]) for label in sorted(classes)]


def _boxes(marks: Sequence[BoxMark]) -> np.ndarray:
    """Return the boxes (N, 4) int64 in pixels, right and bottom being the first outside."""
    boxes = np.array([mark.box for mark in marks], np.int64).reshape(-1, 4)
    boxes[:, 2:] += 1
    return boxes


def _classes(marks: Sequence[BoxMark]) -> np.ndarray:
    return np.array([mark.label for mark in marks], np.int64)


def _pixels(box: Sequence[float], size: Size) -> tuple[int, int, int, int]:
    """Return a relative box in pixels inside the picture, at least one pixel wide and high."""
    width, height = size
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in box)
    left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
    return (left, top, max(round(x2 * width) - 1, left), max(round(y2 * height) - 1, top))
