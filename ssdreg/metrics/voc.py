"""Average precision of detections, as PASCAL VOC defines it.

Matching and both averages follow Everingham et al., "The PASCAL Visual Object Classes (VOC)
Challenge", IJCV 2010, section 4.2, and the VOC development kit:

- The detections of a class are taken in order of falling score; equal scores keep the order of
  the images, and within an image the order of the rows.
- Each detection is compared with the object of its class in its image that it overlaps most,
  the first one if several overlap alike. An IoU of the threshold or more is a match: the
  development kit tests ``>=``. Some ports of it test ``>``.
- The first detection of an object is a true positive, every further one a false positive.
- A difficult object counts neither as an object, nor for or against the detections that match it.

Two things differ from the development kit. Boxes are continuous, so widths are ``x2 - x1`` without
the kit's ``+ 1`` pixel; add 1 to x2 and y2 of boxes in pixels to compare with a tool that keeps it.
Detections of difficult objects are left out before precision is computed, where the kit would
divide zero by zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike
from ssdreg_runtime.boxes.rows import detection_rows, truth_rows

from ssdreg.errors import DataError

#: What became of a detection, as `match` tells it.
FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, 2

#: The recalls at which VOC 2007 reads the curve. Tenths, not steps of 0.1: both 3/10 and a recall
#: of 6/20 round to the same number, and 3 * 0.1 does not.
_RECALLS_07 = np.arange(11) / 10


@frozen
class ClassAP:
    """The average precision of one class; both are nan where the class has no objects."""

    name: str
    #: Area under the interpolated precision-recall curve, as in VOC 2010 and later.
    ap: float
    #: Mean of the interpolated precision at the recalls 0, 0.1 ... 1, as in VOC 2007.
    ap_07: float
    #: Ground truths that are not difficult.
    objects: int
    detections: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields for JSON, which has no nan: None stands for it."""
        return {"name": self.name, "ap": _or_none(self.ap), "ap_07": _or_none(self.ap_07),
                "objects": self.objects, "detections": self.detections}


@frozen
class Evaluation:
    """The average precision of every class over a set of images."""

    classes: tuple[ClassAP, ...]
    iou_threshold: float
    images: int

    @property
    def map(self) -> float:
        """Mean of `ClassAP.ap` over the classes with objects; nan if none has any."""
        return _mean(c.ap for c in self.classes)

    @property
    def map_07(self) -> float:
        """Mean of `ClassAP.ap_07` over the classes with objects; nan if none has any."""
        return _mean(c.ap_07 for c in self.classes)

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON, with None for nan."""
        return {"map": _or_none(self.map), "map_07": _or_none(self.map_07),
                "iou_threshold": self.iou_threshold, "images": self.images,
                "classes": [c.to_dict() for c in self.classes]}

    def table(self) -> str:
        """Return an aligned text table: a line a class, then the means; "-" stands for nan."""
        lines = [("class", "objects", "detections", "AP", "AP 2007")]
        lines += [(c.name, str(c.objects), str(c.detections), _text(c.ap), _text(c.ap_07))
                  for c in self.classes]
        lines.append(("mean", str(sum(c.objects for c in self.classes)),
                      str(sum(c.detections for c in self.classes)),
                      _text(self.map), _text(self.map_07)))
        name_width, *widths = (max(map(len, column)) for column in zip(*lines))
        return "\n".join("  ".join([name.ljust(name_width),
                                    *(cell.rjust(width) for cell, width in zip(cells, widths))])
                         for name, *cells in lines)


class Accumulator:
    """Gathers matches image by image, so that no more than their scores stay in memory.

    Raises DataError for an IoU threshold that is not above 0 and at most 1.
    """

    def __init__(self, class_names: Sequence[str], iou_threshold: float = 0.5) -> None:
        if not 0 < iou_threshold <= 1:
            raise DataError(f"an IoU threshold of {iou_threshold:g} cannot be used; "
                            "give one above 0 and at most 1")
        self._class_names = tuple(class_names)
        self._iou_threshold = float(iou_threshold)
        self._images = 0
        self._objects = np.zeros(len(self._class_names), dtype=np.int64)
        # one array an image, each with a row a detection: class, score, what became of it
        self._outcomes = [np.zeros((0, 3))]

    def add(self, detections: ArrayLike, truths: ArrayLike) -> None:
        """Add one image.

        `detections` is (N, 6): class, score, x1, y1, x2, y2. `truths` is (M, 5) or (M, 6): class,
        x1, y1, x2, y2[, difficult]. Both use the same coordinates, relative or pixels; rows of a
        class below zero are padding. Raises DataError for other columns, for a class without a
        name, or for a number that is not finite.
        """
        where = f"image {self._images}"
        detected = detection_rows(detections, len(self._class_names), where)
        wanted = truth_rows(truths, len(self._class_names), where)
        counted = wanted[wanted[:, 5] == 0, 0].astype(np.int64)
        self._objects += np.bincount(counted, minlength=len(self._class_names))
        self._outcomes.append(
            np.column_stack([detected[:, :2], match(detected, wanted, self._iou_threshold)]))
        self._images += 1

    def result(self) -> Evaluation:
        """Return the average precisions over the images added so far."""
        outcomes = np.concatenate(self._outcomes)
        return Evaluation(
            classes=tuple(_class_ap(name, outcomes[outcomes[:, 0] == index, 1:], int(objects))
                          for index, (name, objects)
                          in enumerate(zip(self._class_names, self._objects))),
            iou_threshold=self._iou_threshold, images=self._images)


def evaluate(detections: Sequence[ArrayLike], truths: Sequence[ArrayLike],
             class_names: Sequence[str], iou_threshold: float = 0.5) -> Evaluation:
    """Return the VOC average precisions of `detections` against `truths`.

    Both sequences hold one array an image: `detections` (N, 6) rows class, score, x1, y1, x2, y2,
    and `truths` (M, 5) or (M, 6) rows class, x1, y1, x2, y2[, difficult], in the same coordinates.
    Rows of a class below zero are padding. Raises DataError where the two differ in length, and
    for what `Accumulator` and its `add` refuse.
    """
    if len(detections) != len(truths):
        raise DataError(f"there are detections for {len(detections)} images and ground truths for "
                        f"{len(truths)}; give one array of each for every image")
    accumulator = Accumulator(class_names, iou_threshold)
    for detected, wanted in zip(detections, truths):
        accumulator.add(detected, wanted)
    return accumulator.result()


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the (N, M) IoU of every box of `a` (N, 4) with every box of `b` (M, 4).

    Rows are x1, y1, x2, y2. A box without area has IoU 0 with every box.
    """
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    opposite = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(opposite - corner, 0, None).prod(axis=2)
    union = _areas(a)[:, None] + _areas(b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    # a box with its corners swapped has no area; without the clip two negatives would make one
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def match(detections: np.ndarray, wanted: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return what became of each detection of one image, all classes at once.

    `detections` is (N, 6) and `wanted` (M, 6), as `detection_rows` and `truth_rows` return them;
    the outcomes returned are (N,): `FALSE_POSITIVE`, `TRUE_POSITIVE` or `IGNORED`.
    """
    outcome = np.full(len(detections), FALSE_POSITIVE)
    if not len(wanted):
        return outcome
    overlap = iou_matrix(detections[:, 2:], wanted[:, 1:5])
    overlap[detections[:, :1] != wanted[:, 0]] = -1
    best = overlap.argmax(axis=1)
    matching = np.flatnonzero(overlap.max(axis=1) >= iou_threshold)
    by_score = matching[np.argsort(-detections[matching, 1], kind="stable")]
    # an object belongs to the first detection that names it, and unique() returns first places
    _, first = np.unique(best[by_score], return_index=True)
    outcome[by_score[first]] = TRUE_POSITIVE
    outcome[matching[wanted[best[matching], 5] != 0]] = IGNORED
    return outcome


def _class_ap(name: str, outcomes: np.ndarray, objects: int) -> ClassAP:
    """Average one class from its (N, 2) rows score, what became of the detection."""
    detections = len(outcomes)
    if objects == 0:
        return ClassAP(name, math.nan, math.nan, objects, detections)
    outcomes = outcomes[outcomes[:, 1] != IGNORED]
    outcomes = outcomes[np.argsort(-outcomes[:, 0], kind="stable")]
    true_positives = np.cumsum(outcomes[:, 1] == TRUE_POSITIVE)
    recall = true_positives / objects
    precision = true_positives / np.arange(1, len(outcomes) + 1)
    # interpolated: the best precision at this recall or any higher one
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    # the precision beyond the highest recall that was reached is zero
    at_tenths = np.append(precision, 0.0)[np.searchsorted(recall, _RECALLS_07)]
    return ClassAP(name, ap, float(at_tenths.mean()), objects, detections)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
