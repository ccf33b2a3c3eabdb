"""Errors by kind, and what each costs: TIDE.

After Bolya, Foley, Hays and Hoffman, "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020, sections 2.2 and 2.3. Detections of a class are matched best first, each with
the free object of its class that it overlaps most, from an IoU of 0.5 (the paper's t_f) on. With
0.1 (its t_b) as the least IoU that is more than background, a detection that matches nothing is the
first of these that it fulfils; the order is that of the authors' program:

- localization: its best IoU with an object of its class is 0.1 or more, and below 0.5
- classification: its IoU with an object of another class is 0.5 or more
- duplicate: its IoU with an object of its class is 0.5 or more, and a better one has matched it
- background: its IoU with all objects is 0.1 or less
- both: all others; they overlap objects of other classes, and not enough

and an object that no detection matches, and that no localization or classification error would
find, is missed.

A kind costs dAP: how much AP would rise if an oracle mended it. Of the errors of localization or
classification that point at the same free object, the best one becomes right, with the object's
class, and the others vanish, as do those that point at an object already found; duplicates,
background and both vanish; missed objects are no more counted. Two more oracles: all false
positives go behind all else (false positives), and all objects not found are no more counted
(false negatives). The costs do not add up to 1 - AP, because each is measured alone.

AP is the mean over the classes with objects of the interpolated precision at the recalls 0, 0.01
... 1, at IoU 0.5, as in COCO and in the authors' program; all detections count, and a class all
of whose objects are no more counted has AP 0, as there.

Detections that match nothing and lie in a difficult object of their class, by 0.5 of their own area
or more, are left out altogether. The authors' program leaves them out of AP, and counts them as
errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen

from ssdreg.metrics.areas import SIZES, size_indices
from ssdreg.metrics.comparison import Comparison, ImageBoxes
from ssdreg.metrics.voc import iou_matrix

#: The kinds of error in the paper's order.
KINDS = ("classification", "localization", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALIZATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))
#: What stands in place of a kind for a detection that is right.
RIGHT = -1

#: The recalls at which precision is read; hundredths, not steps of 0.01, which rounds.
_RECALLS = np.arange(101) / 100


@frozen
class Cost:
    """How many errors there are, and how much AP would rise without them."""

    count: int
    dap: float

    def to_dict(self) -> dict[str, object]:
        """Return the fields for JSON, with None for nan."""
        return {"count": self.count, "dap": _or_none(self.dap)}


@frozen
class ErrorKind:
    """One kind of error: its cost, and that of its part with small, medium and large boxes.

    The size is that of the detection's box, of a missed object the object's, in pixels of the
    original image.
    """

    name: str
    total: Cost
    by_size: tuple[Cost, ...]

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON."""
        return {"name": self.name, **self.total.to_dict(),
                "by_size": {name: cost.to_dict() for name, cost in zip(SIZES, self.by_size)}}


@frozen
class Errors:
    """The errors of a detector by kind; `ap` is what their costs are measured against."""

    ap: float
    kinds: tuple[ErrorKind, ...]
    false_positives: Cost
    false_negatives: Cost
    iou_threshold: float
    background_threshold: float

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON, with None for nan."""
        return {"ap": _or_none(self.ap), "iou_threshold": self.iou_threshold,
                "background_threshold": self.background_threshold,
                "kinds": [kind.to_dict() for kind in self.kinds],
                "false_positives": self.false_positives.to_dict(),
                "false_negatives": self.false_negatives.to_dict()}


@frozen(eq=False)
class _Judged:
    """Detections (N,) by class, score, kind of error, what it would be mended to, and size.

    `mended` is a class, or -1 where the detection vanishes. Of the objects (M,) `labels`, whether
    they were `detected` or `missed`, and their sizes.
    """

    classes: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    kinds: np.ndarray = field(repr=False)
    mended: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    detected: np.ndarray = field(repr=False)
    missed: np.ndarray = field(repr=False)
    object_sizes: np.ndarray = field(repr=False)


def measure_errors(comparison: Comparison, iou_threshold: float = 0.5,
                   background_threshold: float = 0.1) -> Errors:
    """Return the errors by kind, each with what it costs; AP and costs are nan without objects."""
    judged = _together([_judge(image, iou_threshold, background_threshold)
                        for image in comparison.images])
    objects = np.bincount(judged.labels, minlength=len(comparison.classes))
    counted = np.flatnonzero(objects)
    right = judged.kinds == RIGHT
    ap = _mean_ap(judged.classes, judged.scores, right, objects, counted)

    def cost(kind: int, size: int | None = None) -> Cost:
        of_size = judged.sizes == size if size is not None else np.ones_like(right)
        chosen = (judged.kinds == kind) & of_size
        if kind == MISSED:
            gone = judged.missed if size is None else judged.missed & (judged.object_sizes == size)
            left = np.bincount(judged.labels[~gone], minlength=len(objects))
            return Cost(int(gone.sum()), _rise(_mean_ap(
                judged.classes, judged.scores, right, left, counted), ap))
        kept = ~(chosen & (judged.mended < 0))
        mended = np.where(chosen, judged.mended, judged.classes)
        return Cost(int(chosen.sum()), _rise(_mean_ap(
            mended[kept], judged.scores[kept], (right | chosen)[kept], objects, counted), ap))

    behind = _mean_ap(judged.classes, np.where(right, judged.scores, -math.inf), right, objects,
                      counted)
    taken = np.bincount(judged.labels[judged.detected], minlength=len(objects))
    return Errors(
        ap=ap,
        kinds=tuple(ErrorKind(name, cost(kind), tuple(cost(kind, size)
                                                      for size in range(len(SIZES))))
                    for kind, name in enumerate(KINDS)),
        false_positives=Cost(int((~right).sum()), _rise(behind, ap)),
        false_negatives=Cost(int((~judged.detected).sum()), _rise(_mean_ap(
            judged.classes, judged.scores, right, taken, counted), ap)),
        iou_threshold=iou_threshold, background_threshold=background_threshold)


def _rise(mended: float, ap: float) -> float:
    """Return how much AP rises; reading it at 101 recalls may make it fall a little, which is 0."""
    return mended if math.isnan(mended) else max(mended - ap, 0.0)


def _judge(image: ImageBoxes, iou_threshold: float, background_threshold: float) -> _Judged:
    """Tell the kind of error of every detection of an image, and which objects are missed."""
    counted = image.truths[:, 5] == 0
    truths = image.truths[counted]
    detections = image.detections[np.argsort(-image.detections[:, 1], kind="stable")]
    overlap = iou_matrix(detections[:, 2:], truths[:, 1:5])
    own = detections[:, :1] == truths[:, 0]
    taker = _take(np.where(own, overlap, 0.0), iou_threshold)
    right = np.zeros(len(detections), bool)
    right[taker[taker >= 0]] = True
    forgiven = ~right & _lie_in_difficult(detections, image.truths[~counted], iou_threshold)
    detections, overlap, own, right = (
        rows[~forgiven] for rows in (detections, overlap, own, right))

    best_own = np.where(own, overlap, 0.0).max(axis=1, initial=0.0)
    best_other = np.where(own, 0.0, overlap).max(axis=1, initial=0.0)
    kinds = np.select(
        [right, (best_own >= background_threshold) & (best_own < iou_threshold),
         best_other >= iou_threshold, best_own >= iou_threshold,
         np.maximum(best_own, best_other) <= background_threshold],
        [RIGHT, LOCALIZATION, CLASSIFICATION, DUPLICATE, BACKGROUND], BOTH)
    free = taker < 0
    mended, mendable = _mend(kinds, np.where(own, overlap, 0.0), np.where(own, 0.0, overlap),
                             truths[:, 0], free)
    return _Judged(
        classes=detections[:, 0].astype(np.int64), scores=detections[:, 1],
        kinds=kinds, mended=mended,
        sizes=size_indices(image.areas(detections[:, 2:])), labels=truths[:, 0].astype(np.int64),
        detected=~free, missed=free & ~mendable,
        object_sizes=size_indices(image.areas(truths[:, 1:5])))


def _take(overlap: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return the row of the detection that takes each object (M,), -1 for none.

    `overlap` is (N, M), its rows by falling score, 0 where the classes differ.
    """
    left, taker = overlap.copy(), np.full(overlap.shape[1], -1)
    for row in np.flatnonzero((overlap >= iou_threshold).any(axis=1)):
        column = left[row].argmax()
        if left[row, column] >= iou_threshold:
            taker[column] = row
            left[:, column] = 0
    return taker


def _lie_in_difficult(detections: np.ndarray, difficult: np.ndarray, share: float) -> np.ndarray:
    """Tell which (N, 6) detections lie in a difficult object (K, 6) of their class."""
    boxes, regions = detections[:, None, 2:], difficult[None, :, 1:5]
    sides = np.minimum(boxes[..., 2:], regions[..., 2:]) - np.maximum(boxes[..., :2],
                                                                      regions[..., :2])
    inside = np.clip(sides, 0, None).prod(axis=2)
    areas = np.clip(detections[:, 4:] - detections[:, 2:4], 0, None).prod(axis=1)[:, None]
    lie = (inside >= share * areas) & (areas > 0) & (detections[:, :1] == difficult[:, 0])
    return np.asarray(lie.any(axis=1))


def _mend(kinds: np.ndarray, own: np.ndarray, other: np.ndarray, labels: np.ndarray,
          free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class (N,) that each error is mended to, -1 for none, and which (M,) objects are.

    `own` and `other` are the (N, M) IoU with objects of the same and of other classes, rows by
    falling score; only the first error that points at a free object is mended.
    """
    mended, mendable = np.full(len(kinds), -1), np.zeros(len(labels), bool)
    for row in np.flatnonzero((kinds == LOCALIZATION) | (kinds == CLASSIFICATION)):
        column = (own if kinds[row] == LOCALIZATION else other)[row].argmax()
        if free[column] and not mendable[column]:
            mendable[column] = True
            mended[row] = int(labels[column])
    return mended, mendable


def _together(parts: Sequence[_Judged]) -> _Judged:
    """Put the images together, detections by falling score; equal ones keep their order."""
    empty = np.zeros(0)
    names = ("classes", "scores", "kinds", "mended", "sizes", "labels", "detected", "missed",
             "object_sizes")
    kept = {name: np.concatenate([empty, *(getattr(part, name) for part in parts)])
            for name in names}
    order = np.argsort(-kept["scores"], kind="stable")
    for name in names[:5]:
        kept[name] = kept[name][order]
    for name in names:
        if name != "scores":
            kept[name] = kept[name].astype(bool if name in ("detected", "missed") else np.int64)
    return _Judged(**kept)


def _mean_ap(classes: np.ndarray, scores: np.ndarray, right: np.ndarray, objects: np.ndarray,
             counted: np.ndarray) -> float:
    """Return the mean AP over the classes `counted`, nan without any.

    `scores` are falling, but for those that are minus infinity.
    """
    if not len(counted):
        return math.nan
    if len(scores) and np.isneginf(scores).any():
        order = np.argsort(-scores, kind="stable")
        classes, right = classes[order], right[order]
    # stable: within a class the order stays; 16 bits, because these are sorted by counting
    order = np.argsort(classes.astype(np.uint16), kind="stable")
    edges = np.searchsorted(classes[order], np.arange(len(objects) + 1))
    return float(np.mean([_ap(right[order[edges[index]:edges[index + 1]]], int(objects[index]))
                          for index in counted]))


def _ap(right: np.ndarray, objects: int) -> float:
    if not objects:
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(precision, 0.0)[np.searchsorted(hits / objects, _RECALLS)].mean())


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
