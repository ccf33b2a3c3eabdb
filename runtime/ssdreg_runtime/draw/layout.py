"""What is drawn into a picture: boxes, where their labels go, and the legend."""

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
    crowded,
    fitted,
    label_width,
    plate_height,
    plate_width,
    style_of,
)
from ssdreg_runtime.draw.palette import Color, class_colors
from ssdreg_runtime.draw.placing import Placed, place_labels, same_objects

Size = tuple[int, int]

#: In a video, a label that was there has its turn as if its score were higher by this.
_STAYING = 0.2

#: In a video, a class stays in the legend for as many frames after it was last needed there.
_LEGEND_FRAMES = 50

#: The class, the corners as shares of the picture, and what the label says behind the class's name.
_Labelled = tuple[int, Sequence[float], str]


@frozen
class Mark:
    """A box to draw: in pixels, of which the last two are the last column and row inside.

    Its label says one of `names`, its class's name as far as there is room for it in letters of
    each size of the style, and `ending`.
    """

    box: tuple[int, int, int, int]
    label: int
    color: Color
    ending: str
    names: tuple[str, ...]


@frozen(eq=False)
class Plan:
    """Marks, strongest first, and the label of each; None where it is left out.

    `unlabelled` are the classes that the legend is for, and for how many frames more.
    """

    style: Style
    marks: tuple[Mark, ...]
    labels: tuple[Placed | None, ...]
    legend: Legend | None = None
    unlabelled: Mapping[int, int] = {}


def plan_picture(size: Size, detections: ArrayLike, class_names: Sequence[str], threshold: float,
                 look: Look) -> Plan:
    """Plan a picture of `size` (width, height); its legend is to be added below it."""
    rows = _strongest(detections, class_names, threshold)
    return _still(size, _labelled(rows, look), class_names, look)


def plan_truths(size: Size, truths: ArrayLike, class_names: Sequence[str], look: Look) -> Plan:
    """Plan a picture with ground truths; its legend is to be added below it."""
    rows = truth_rows(truths, len(class_names), "the picture")
    return _still(size, [(int(label), box, " (difficult)" if difficult else "")
                         for label, *box, difficult in rows], class_names, look)


def plan_frame(size: Size, detections: ArrayLike, class_names: Sequence[str], threshold: float,
               look: Look, before: Plan | None = None) -> Plan:
    """Plan a frame of a video, whose size cannot change: its legend lies in it.

    `before` is the plan of the frame before. Labels of objects that are seen again keep their
    places, their letters' size and their turn where they can, and the legend stays for a while.
    """
    rows = _strongest(detections, class_names, threshold)
    style = style_of(size, look)
    marks = _marks(_labelled(rows, look), class_names, style, size)
    if look.hide_labels:
        return Plan(style, marks, (None,) * len(marks))
    style, marks = _fewer_sizes(style, marks, size, None if before is None else before.style)
    boxes, old = _boxes(marks), _old_labels(marks, style, before)
    turns = np.argsort([-score - _STAYING * (known is not None)
                        for score, known in zip(rows[:, 1], old)], kind="stable")
    lasting = {} if before is None else {label: left - 1 for label, left in
                                         before.unlabelled.items() if left > 1}

    def legend_of(classes: Mapping[int, int]) -> Legend | None:
        return legend_inside(_names(classes, class_names), size, style, boxes,
                             None if before is None else before.legend)

    legend = legend_of(lasting)
    while True:
        labels = _labels(marks, style, size, turns, legend, None if before is None else old)
        # the legend takes room from labels, so that more classes may need it: they only grow
        lasting = {**lasting, **dict.fromkeys(_unlabelled(marks, labels), _LEGEND_FRAMES)}
        larger = legend_of(lasting)
        if larger == legend:
            return Plan(style, marks, labels, legend, lasting)
        legend = larger


def _still(size: Size, labelled: Sequence[_Labelled], class_names: Sequence[str], look: Look
           ) -> Plan:
    style = style_of(size, look)
    marks = _marks(labelled, class_names, style, size)
    if look.hide_labels:
        return Plan(style, marks, (None,) * len(marks))
    style, marks = _fewer_sizes(style, marks, size, None)
    labels = _labels(marks, style, size, np.arange(len(marks)))
    unlabelled = dict.fromkeys(_unlabelled(marks, labels), 1)
    return Plan(style, marks, labels, legend_below(_names(unlabelled, class_names), size, style),
                unlabelled)


def _strongest(detections: ArrayLike, class_names: Sequence[str], threshold: float) -> np.ndarray:
    rows = detection_rows(detections, len(class_names), "the picture")
    rows = rows[rows[:, 1] >= threshold]
    return rows[np.argsort(-rows[:, 1], kind="stable")]


def _labelled(rows: np.ndarray, look: Look) -> list[_Labelled]:
    return [(int(label), box, "" if look.hide_scores else f" {score:.2f}")
            for label, score, *box in rows]


def _marks(labelled: Sequence[_Labelled], class_names: Sequence[str], style: Style, size: Size
           ) -> tuple[Mark, ...]:
    colors, widest = class_colors(len(class_names)), label_width(size)
    return tuple(Mark(_pixels(box, size), label, colors[label], ending,
                      tuple(fitted(class_names[label], ending, font, widest)
                            for font in style.fonts))
                 for label, box, ending in labelled)


def _plates(marks: Sequence[Mark], style: Style) -> np.ndarray:
    """Return the widths and heights (N, S, 2) that each label has in letters of each size."""
    return np.array([[(plate_width(name, mark.ending, font), plate_height(font))
                      for name, font in zip(mark.names, style.fonts)] for mark in marks],
                    np.int64).reshape(len(marks), len(style.fonts), 2)


def _fewer_sizes(style: Style, marks: tuple[Mark, ...], size: Size, before: Style | None
                 ) -> tuple[Style, tuple[Mark, ...]]:
    """Leave out the sizes of letters that are too large for so many labels."""
    areas = _plates(marks, style).prod(axis=2).sum(axis=0)
    fewer = crowded(style, areas.tolist(), size, before)
    return fewer, tuple(evolve(mark, names=mark.names[-len(fewer.fonts):]) for mark in marks)


def _labels(marks: Sequence[Mark], style: Style, size: Size, turns: np.ndarray,
            legend: Legend | None = None, old: Sequence[Placed | None] | None = None
            ) -> tuple[Placed | None, ...]:
    """Place labels, those of the marks that `turns` (N,) names first before others."""
    found = place_labels(_boxes(marks)[turns], _plates(marks, style)[turns], size, style.edge,
                         [legend.rectangle] if legend else [],
                         None if old is None else [old[turn] for turn in turns])
    labels: list[Placed | None] = [None] * len(marks)
    for turn, label in zip(turns, found):
        labels[turn] = label
    return tuple(labels)


def _old_labels(marks: Sequence[Mark], style: Style, before: Plan | None) -> list[Placed | None]:
    """Return the label that each marked object had in the frame before, with a size of `style`."""
    if before is None:
        return [None] * len(marks)
    found = same_objects(_boxes(marks), _classes(marks), _boxes(before.marks),
                         _classes(before.marks))
    labels = [None if index is None else before.labels[index] for index in found]
    # where the sizes became others, the places at least are kept
    plates = [style.fonts.index(font) if font in style.fonts else 0 for font in before.style.fonts]
    return [label and evolve(label, plate=plates[label.plate]) for label in labels]


def _unlabelled(marks: Sequence[Mark], labels: Sequence[Placed | None]) -> set[int]:
    return {mark.label for mark, label in zip(marks, labels) if label is None}


def _names(classes: Mapping[int, int], class_names: Sequence[str]) -> list[tuple[str, Color]]:
    colors = class_colors(len(class_names))
    return [(class_names[label], colors[label]) for label in sorted(classes)]


def _boxes(marks: Sequence[Mark]) -> np.ndarray:
    """Return the boxes (N, 4) with the first column and row that are outside."""
    boxes = np.array([mark.box for mark in marks], np.int64).reshape(-1, 4)
    boxes[:, 2:] += 1
    return boxes


def _classes(marks: Sequence[Mark]) -> np.ndarray:
    return np.array([mark.label for mark in marks], np.int64)


def _pixels(box: Sequence[float], size: Size) -> tuple[int, int, int, int]:
    """Return a relative box in pixels, at least one pixel wide and high, inside the picture."""
    width, height = size
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in box)
    left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
    return (left, top, max(round(x2 * width) - 1, left), max(round(y2 * height) - 1, top))
