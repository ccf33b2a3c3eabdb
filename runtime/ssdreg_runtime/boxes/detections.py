"""The detections of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from ssdreg_runtime.boxes.rows import detection_rows
from ssdreg_runtime.errors import DependencyError

if TYPE_CHECKING:
    import supervision


#: Objects that `repr` names.
_MAX_IN_REPR = 5


@frozen(kw_only=True, eq=False, repr=False)
class Detections:
    """The objects found in one image, best first.

    - `xyxy`: (N, 4) float32, left, top, right and bottom in pixels of the image, inside it
    - `scores`: (N,) float32, 0 to 1
    - `labels`: (N,) int64, indices in `classes`
    - `classes`: the names of all classes of the detector
    - `size`: width and height of the image in pixels
    - `error`: the reason where the image could not be used; else empty
    - `ids`: (N,) int64, which object it is among those of all frames, -1 where that is not known;
      None where objects are not followed
    """

    xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    size: tuple[int, int]
    error: str = ""
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        width, height = self.size
        if self.error:
            return f"<Detections: {self.error}>"
        best = [f"{name} {score:.2f}"
                for name, score in zip(self.names, self.scores[:_MAX_IN_REPR])]
        more = ", ..." if len(self) > _MAX_IN_REPR else ""
        return f"<Detections {len(self)} in {width}x{height}: {', '.join(best)}{more}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each object."""
        return tuple(self.classes[label] for label in self.labels)

    @property
    def rows(self) -> np.ndarray:
        """The objects as `draw_boxes` takes them: (N, 6) float32, class, score, x1, y1, x2, y2.

        The coordinates are shares of the image, 0 to 1.
        """
        scale = np.maximum(np.array(self.size * 2, np.float32), 1)
        return np.column_stack([self.labels.astype(np.float32), self.scores, self.xyxy / scale])

    def above(self, threshold: float) -> Detections:
        """Return those whose score is `threshold` or more."""
        return self.at(np.flatnonzero(self.scores >= threshold))

    def at(self, places: np.ndarray) -> Detections:
        """Return those in these places, (M,) integers, in this order."""
        return evolve(self, xyxy=self.xyxy[places], scores=self.scores[places],
                      labels=self.labels[places],
                      ids=None if self.ids is None else self.ids[places])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: `width`, `height` and `objects`, boxes in pixels.

        An object has `class`, its name, `score` and `box`: left, top, right, bottom; and `track`,
        its number, where it is followed. `error` is present only when the image could not be used.
        """
        objects: list[dict[str, Any]] = [
            {"class": name, "score": round(float(score), 4),
             "box": [round(float(side), 1) for side in box]}
            for name, score, box in zip(self.names, self.scores, self.xyxy)]
        if self.ids is not None:
            for plain_object, track in zip(objects, self.ids):
                if track >= 0:
                    plain_object["track"] = int(track)
        width, height = self.size
        plain = {"width": width, "height": height, "objects": objects}
        return {**plain, "error": self.error} if self.error else plain

    def to_supervision(self) -> supervision.Detections:
        """Return them as the package `supervision` has detections, with the names as `class_name`.

        Raises DependencyError when it is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise DependencyError("handing detections over to supervision needs the package: run "
                                  "`pip install supervision`") from error
        return supervision.Detections(
            xyxy=self.xyxy, confidence=self.scores, class_id=self.labels,
            data={"class_name": np.array(self.names, dtype=np.str_)})


def from_rows(rows: ArrayLike, size: tuple[int, int], classes: Sequence[str], where: str
              ) -> Detections:
    """Return the detections in a model's rows (K, 6) for an image of (width, height) pixels.

    A row is class, score, x1, y1, x2, y2 as shares of the image; those of a class below zero are
    left out. The result is sorted by score, the highest first. `where` begins the
    message of the DataError that is raised for numbers which are not finite or for a class that
    has no name.
    """
    kept = detection_rows(rows, len(classes), where)
    kept = kept[np.argsort(-kept[:, 1], kind="stable")]
    limits = np.array(size * 2, np.float64)
    return Detections(xyxy=np.clip(kept[:, 2:] * limits, 0, limits).astype(np.float32),
                      scores=kept[:, 1].astype(np.float32), labels=kept[:, 0].astype(np.int64),
                      classes=tuple(classes), size=size)


def failed_detections(error: str, classes: Sequence[str], size: tuple[int, int] = (0, 0)
                      ) -> Detections:
    """Return the empty detections of an image that could not be used; `error` says why."""
    return Detections(xyxy=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32),
                      labels=np.zeros(0, np.int64), classes=tuple(classes), size=size, error=error)
