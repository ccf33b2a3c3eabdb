"""Precision, recall and F1 over the threshold on the score, and the threshold with the best F1.

Detections are matched as VOC does (see `ssdreg.metrics.voc`), at IoU 0.5 by default. With a
threshold t, the detections with a score of t or more count, so that equal scores count together:

- precision: the share of those detections that are right
- recall: the share of the objects that they find
- F1: the harmonic mean of both, 2 PR / (P + R) (van Rijsbergen, "Information Retrieval", 1979,
  chapter 7), 0 where nothing is found

Difficult objects, and what matches them, count neither way.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen

from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.voc import IGNORED, TRUE_POSITIVE, match


@frozen
class OperatingPoint:
    """A threshold on the score, with precision, recall and F1 there; all are 0 to 1."""

    threshold: float
    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, float]:
        """Return the fields for JSON."""
        return {"threshold": self.threshold, "precision": self.precision, "recall": self.recall,
                "f1": self.f1}


@frozen(eq=False)
class Curve:
    """Precision (N,) and recall (N,) at N thresholds (N,), the different scores, falling.

    Empty where there are no detections that count; recall is nan where there are no objects.
    """

    thresholds: np.ndarray = field(repr=False)
    precision: np.ndarray = field(repr=False)
    recall: np.ndarray = field(repr=False)

    @property
    def f1(self) -> np.ndarray:
        """The (N,) F1 at each threshold."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total),
                         where=total > 0)

    def best(self) -> OperatingPoint | None:
        """Return the threshold with the best F1, of equal ones the highest.

        None where there are no objects or nothing right is detected: then no threshold is better
        than another.
        """
        f1 = self.f1
        if not len(f1) or not f1.max() > 0:
            return None
        index = int(f1.argmax())
        return OperatingPoint(*(float(values[index]) for values in (
            self.thresholds, self.precision, self.recall, f1)))


@frozen(eq=False)
class Curves:
    """The curve of every class, and that of all detections and objects taken together."""

    classes: tuple[Curve, ...]
    pooled: Curve


def measure_curves(comparison: Comparison, iou_threshold: float = 0.5) -> Curves:
    """Return precision and recall over the threshold on the score."""
    rows = [np.zeros((0, 3))]
    for image in comparison.images:
        outcome = match(image.detections, image.truths, iou_threshold)
        rows.append(np.column_stack([image.detections[:, :2], outcome]))
    outcomes = np.concatenate(rows)
    outcomes = outcomes[outcomes[:, 2] != IGNORED]
    objects = comparison.objects()
    return Curves(tuple(_curve(outcomes[outcomes[:, 0] == index, 1:], int(count))
                        for index, count in enumerate(objects)),
                  _curve(outcomes[:, 1:], int(objects.sum())))


def _curve(outcomes: np.ndarray, objects: int) -> Curve:
    """Return the curve of (N, 2) rows: score, what became of the detection."""
    outcomes = outcomes[np.argsort(-outcomes[:, 0], kind="stable")]
    right = np.cumsum(outcomes[:, 1] == TRUE_POSITIVE)
    # the last detection of each score, since a threshold takes or leaves all of them
    last = np.flatnonzero(np.diff(outcomes[:, 0], append=-math.inf))
    recall = right[last] / objects if objects else np.full(len(last), math.nan)
    return Curve(outcomes[last, 0], right[last] / (last + 1), recall)
