"""Which classes are taken for which: the confusion matrix of a detector.

The literature of detection has no one definition. The one here goes by these rules:

- The detections with a score of the threshold or more are taken by falling score, all classes
  together; equal scores keep their order.
- Each takes one object that is still free and that it overlaps with an IoU of the IoU threshold or
  more: of its own class where there is such an object, else of another class; of several the one
  it overlaps most.
- A detection that takes an object counts in the object's row and its own class's column. One that
  takes none counts in the last row: background was taken for an object. An object that nobody
  takes counts in the last column: it was missed.
- A detection that takes none and overlaps a difficult object that much is left out, and so are
  difficult objects.

A second detection of an object is thus a detection of background, and an object that is named
wrongly by a high score and rightly by a low one counts as confused: the detector's first answer
is its answer.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from ssdreg.metrics.comparison import Comparison, ImageBoxes
from ssdreg.metrics.voc import iou_matrix

#: The object taken by a detection that takes none, and by one that is left out.
BACKGROUND, LEFT_OUT = -1, -2


@frozen(eq=False)
class Confusion:
    """The (C + 1, C + 1) int64 `matrix`: objects in rows, detections in columns.

    The last row is what was detected where there is no object, the last column what was missed;
    where they meet there is nothing to count.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray = field(repr=False)
    threshold: float
    iou_threshold: float

    def pairs(self) -> list[tuple[int, str, str]]:
        """Return what was taken for what: how often, the object's class, the detection's.

        Only where both are classes and not the same; the most frequent come first.
        """
        count = len(self.classes)
        confused = [(int(self.matrix[row, column]), self.classes[row], self.classes[column])
                    for row in range(count) for column in range(count)
                    if row != column and self.matrix[row, column]]
        return sorted(confused, key=lambda pair: -pair[0])

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON."""
        return {"threshold": self.threshold, "iou_threshold": self.iou_threshold,
                "classes": list(self.classes), "matrix": self.matrix.tolist()}


@frozen(eq=False)
class Assignment:
    """The assignment of detections to objects in one image.

    `detections` are the (K,) rows of the detections whose score suffices, by falling score;
    `takes` the (K,) row of the object that each takes, `BACKGROUND` or `LEFT_OUT`;
    `missed` the rows of the objects, not difficult, that nobody took.
    """

    detections: np.ndarray
    takes: np.ndarray
    missed: np.ndarray


def assign(image: ImageBoxes, threshold: float, iou_threshold: float = 0.5) -> Assignment:
    """Give each detection of an image whose score suffices the object that it takes."""
    scores = image.detections[:, 1]
    chosen = np.flatnonzero(scores >= threshold)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    takes = np.full(len(chosen), BACKGROUND)
    difficult = image.truths[:, 5] != 0
    free = ~difficult
    overlap = iou_matrix(image.detections[chosen, 2:], image.truths[:, 1:5])
    near = overlap >= iou_threshold
    own = image.detections[chosen, :1] == image.truths[:, 0]
    for place in np.flatnonzero(near.any(axis=1)):
        candidates = np.flatnonzero(near[place] & free)
        if len(candidates):
            same = candidates[own[place, candidates]]
            candidates = same if len(same) else candidates
            takes[place] = candidates[overlap[place, candidates].argmax()]
            free[takes[place]] = False
        elif (near[place] & difficult).any():
            takes[place] = LEFT_OUT
    return Assignment(chosen, takes, np.flatnonzero(free))


def measure_confusion(comparison: Comparison, threshold: float,
                      iou_threshold: float = 0.5) -> Confusion:
    """Count which classes are taken for which, at a threshold on the score."""
    background = len(comparison.classes)
    matrix = np.zeros((background + 1, background + 1), np.int64)
    for image in comparison.images:
        assigned = assign(image, threshold, iou_threshold)
        kept = assigned.takes != LEFT_OUT
        named = image.detections[assigned.detections[kept], 0].astype(np.int64)
        # the background's number is last, where the index -1 finds it
        labels = np.append(image.truths[:, 0], background).astype(np.int64)
        np.add.at(matrix, (labels[assigned.takes[kept]], named), 1)
        np.add.at(matrix, (labels[assigned.missed], background), 1)
    return Confusion(comparison.classes, matrix, threshold, iou_threshold)
