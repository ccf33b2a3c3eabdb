"""The placing of labels: beside their boxes, never over one another, and over little of any box.

Rectangles are left, top, right, bottom in pixels; the last two are the first outside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

#: A place for a label: ``(a, b, c, d)`` puts its left at ``left + a * box width + b * its width``
#: and its top at ``top + c * box height + d * its height``. The best comes first.
PLACES = np.array([
    (0, 0, 0, -1), (1, -1, 0, -1),                               # above
    (0, 0, 1, 0), (1, -1, 1, 0),                                 # below
    (0, 0, 0, 0), (1, -1, 0, 0),                                 # inside, at the top
    (1, 0, 0, 0), (0, -1, 0, 0), (1, 0, 1, -1), (0, -1, 1, -1),  # beside
    (0, 0, 1, -1), (1, -1, 1, -1),                               # inside, at the bottom
    (0.5, -0.5, 0, -1), (0.5, -0.5, 1, 0),                       # above and below, in the middle
])

#: The greatest share of a box that all labels together may hide.
MOST_HIDDEN = 0.25

#: The same for a label that the previous frame did not have: a lower limit, or labels would
#: flicker with every pixel that a box moves.
_NEW_LABEL_HIDDEN = 0.8 * MOST_HIDDEN

#: Costs of a label's place, in units of hiding its largest area of other boxes: lying in its own
#: box, lying in a box around that, each place further back in `PLACES`, a font of size zero, and
#: leaving the place of the previous frame. The first two do not depend on the font size, so that
#: they never make a font shrink.
_OWN, _AROUND, _LATER, _SMALLER, _MOVED = 0.5, 0.25, 0.02, 1.0, 1.0

#: A box is around another if it contains this share of it.
_INSIDE = 0.9

#: Bound of boxes x places x boxes compared at once, which limits the memory.
_MAX_COMPARISONS = 2_000_000


@frozen
class PlacedLabel:
    """A label: its rectangle, and its indices of plate (font size) and place in `PLACES`."""

    rectangle: tuple[int, int, int, int]
    plate: int
    place: int


def place_labels(boxes: np.ndarray, plates: np.ndarray, size: tuple[int, int], edge: int,
                 taken: Sequence[tuple[int, int, int, int]] = (),
                 before: Sequence[PlacedLabel | None] | None = None) -> list[PlacedLabel | None]:
    """Place the labels of `boxes` in their order; None where there is no room for one.

    `boxes` (N, 4) int and `plates` (N, S, 2) int, the widths and heights that a label may have, the
    preferred one first, are in pixels of a picture of `size` (width, height). A label lies in the
    picture, touches the `edge` pixels around its box, and overlaps no other label and none of the
    rectangles `taken`. All labels together hide at most `MOST_HIDDEN` of any box. `before` are the
    labels that these boxes had in the previous frame, which are kept where possible.
    """
    rectangles, fits = _candidates(boxes, plates, size, edge)
    previous = _previous_candidates(before, plates.shape[1], len(boxes))
    areas = _areas(boxes)
    blocked = np.array(taken, np.int64).reshape(-1, 4)
    hidden = _overlaps(blocked[None], boxes).sum(axis=1)[0]
    limit = np.maximum(hidden, MOST_HIDDEN * areas)
    new_label_limit = limit if before is None else np.minimum(limit, _NEW_LABEL_HIDDEN * areas)

    def hides_little(hides: np.ndarray, limits: np.ndarray) -> np.ndarray:
        # a box that is hidden too much already counts only where a label hides more of it
        return ((hidden + hides <= limits) | (hides == 0)).all(axis=-1)

    placed: list[PlacedLabel | None] = []
    step = max(1, _MAX_COMPARISONS // max(1, rectangles.shape[1] * len(boxes)))
    for first in range(0, len(boxes), step):
        chunk = slice(first, first + step)
        hiding = _overlaps(rectangles[chunk], boxes)
        costs = _costs(hiding, boxes, plates, first, previous)
        for index in range(len(hiding)):
            box = first + index
            rectangles_of_box, hides = rectangles[box], hiding[index]
            allowed, candidate = hides_little(hides, new_label_limit), previous[box]
            if candidate >= 0:
                allowed[candidate] = hides_little(hides[candidate], limit)
            allowed &= fits[box] & ~_touch(rectangles_of_box, blocked).any(axis=1)
            if not allowed.any():
                placed.append(None)
                continue
            best = int(np.where(allowed, costs[index], np.inf).argmin())
            hidden = hidden + hides[best]
            blocked = np.concatenate([blocked, rectangles_of_box[best:best + 1]])
            left, top, right, bottom = (int(side) for side in rectangles_of_box[best])
            placed.append(PlacedLabel((left, top, right, bottom), *divmod(best, len(PLACES))))
    return placed


def least_hiding(rectangles: Sequence[tuple[int, int, int, int]], boxes: np.ndarray,
                 before: int | None = None) -> int:
    """Return the index of the rectangle that hides the smallest shares of `boxes` (M, 4).

    The index `before` is preferred while it hides little more.
    """
    hidden = _overlaps(np.array(rectangles)[None], boxes)[0] / np.maximum(_areas(boxes), 1)
    costs = hidden.sum(axis=1)
    if before is not None:
        costs[before] -= _MOVED
    return int(costs.argmin())


def match_objects(boxes: np.ndarray, labels: np.ndarray, old_boxes: np.ndarray,
                  old_labels: np.ndarray) -> list[int | None]:
    """Return, for each box (N, 4), the index of the old box of the same object, or None.

    That is the one of its class that it overlaps most, by an IoU of 0.5 or more. An old box is
    matched once, with the first of the boxes that overlap it.
    """
    if not len(old_boxes):
        return [None] * len(boxes)
    shared = _overlaps(boxes[None], old_boxes)[0]
    union = _areas(boxes)[:, None] + _areas(old_boxes)[None] - shared
    likeness = np.where(labels[:, None] == old_labels[None], shared / np.maximum(union, 1), 0)
    old_indices: list[int | None] = []
    for row in likeness:
        best = int(row.argmax())
        old_indices.append(best if row[best] >= 0.5 else None)
        if old_indices[-1] is not None:
            likeness[:, best] = 0
    return old_indices


def _candidates(boxes: np.ndarray, plates: np.ndarray, size: tuple[int, int], edge: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Return rectangles (N, S * places, 4), and which of them (N, S * places) fit the picture."""
    sides, fits = [], np.ones((len(boxes), plates.shape[1], len(PLACES)), bool)
    for axis in (0, 1):
        by_box, by_plate = PLACES[:, 2 * axis], PLACES[:, 2 * axis + 1]
        low = boxes[:, axis, None, None] - edge
        length = boxes[:, axis + 2, None, None] + edge - low
        extent = plates[:, :, axis, None]
        # a label beside its box shares the box's dark edge
        apart = by_box + by_plate
        start = low + by_box * length + by_plate * extent - edge * apart
        start = np.floor(start).astype(np.int64)
        inside = np.clip(start, 0, np.maximum(size[axis] - extent, 0))
        # a label may be shifted along its box, but not over it
        fits &= (extent <= size[axis]) & ((inside == start) | (apart == 0))
        sides.append((inside, inside + extent))
    (left, right), (top, bottom) = sides
    rectangles = np.stack([left, top, right, bottom], axis=-1)
    count = plates.shape[1] * len(PLACES)
    return rectangles.reshape(len(boxes), count, 4), fits.reshape(len(boxes), count)


def _previous_candidates(before: Sequence[PlacedLabel | None] | None, count: int, boxes: int
                         ) -> np.ndarray:
    """Return the candidate (N,) of each label in the previous frame, -1 for none."""
    return np.array([-1 if label is None or label.plate >= count
                     else label.plate * len(PLACES) + label.place
                     for label in before or [None] * boxes], np.int64)


def _costs(hiding: np.ndarray, boxes: np.ndarray, plates: np.ndarray, first: int,
           previous: np.ndarray) -> np.ndarray:
    """Return the cost of each candidate (n, K), for the n boxes from index `first` on.

    `hiding` (n, K, N) are the pixels of each box that a candidate hides.
    """
    chunk = slice(first, first + len(hiding))
    others = np.ones((len(hiding), len(boxes)))
    inside = _overlaps(boxes[None, chunk], boxes)[0] >= _INSIDE * _areas(boxes[chunk])[:, None]
    others[inside] = 0
    within = np.where(inside, _AROUND, 0)
    within[np.arange(len(hiding)), np.arange(first, first + len(hiding))] = _OWN
    areas = plates[chunk].prod(axis=2)
    costs = (np.einsum("nkm,nm->nk", hiding, others) / areas[:, :1]
             + np.einsum("nkm,nm->nk", hiding, within) / areas.repeat(len(PLACES), axis=1))
    smaller = 1 - plates[chunk, :, 1] / plates[chunk, :1, 1]
    later = np.arange(len(PLACES)) * _LATER
    costs += (_SMALLER * smaller[:, :, None] + later).reshape(len(hiding), -1)
    known = np.flatnonzero(previous[chunk] >= 0)
    costs[known, previous[chunk][known]] -= _MOVED
    return costs


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlaps(rectangles: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the pixels (A, B, M) that rectangles (A, B, 4) share with boxes (M, 4)."""
    wide = (np.minimum(rectangles[..., None, 2], boxes[:, 2])
            - np.maximum(rectangles[..., None, 0], boxes[:, 0]))
    high = (np.minimum(rectangles[..., None, 3], boxes[:, 3])
            - np.maximum(rectangles[..., None, 1], boxes[:, 1]))
    return np.maximum(wide, 0) * np.maximum(high, 0)


def _touch(rectangles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tell which of (B, 4) and (M, 4) have a pixel in common, (B, M)."""
    return ((rectangles[:, None, 0] < others[:, 2]) & (others[:, 0] < rectangles[:, None, 2])
            & (rectangles[:, None, 1] < others[:, 3]) & (others[:, 1] < rectangles[:, None, 3]))
