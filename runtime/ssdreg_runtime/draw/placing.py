"""Where labels go: beside their boxes, never over one another, and over little of any box.

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

#: All labels together hide no more of any box than this.
MOST_HIDDEN = 0.25

#: What is too much for a label that comes anew is not yet too much for one that was there in the
#: frame before, or it would come and go with every pixel that a box moves.
_NEWLY_HIDDEN = 0.8 * MOST_HIDDEN

#: What a label's place costs, where hiding its largest area of other boxes costs 1: lying in its
#: own box, in a box around that, a later place in `PLACES`, letters of no size, another place than
#: in the frame before. The first two are the same for letters of any size: they would not shrink.
_OWN, _AROUND, _LATER, _SMALLER, _MOVED = 0.5, 0.25, 0.02, 1.0, 1.0

#: The share of a box that lies in another which is around it.
_INSIDE = 0.9

#: Boxes times places times boxes that are compared at once: bounds the memory of a large crowd.
_AT_ONCE = 2_000_000


@frozen
class Placed:
    """A label: its rectangle, which of the plates it has, which of `PLACES` it is at."""

    rectangle: tuple[int, int, int, int]
    plate: int
    place: int


def place_labels(boxes: np.ndarray, plates: np.ndarray, size: tuple[int, int], edge: int,
                 taken: Sequence[tuple[int, int, int, int]] = (),
                 before: Sequence[Placed | None] | None = None) -> list[Placed | None]:
    """Place the labels of `boxes`, whose first choose first; None where there is no room for one.

    `boxes` (N, 4) int and `plates` (N, S, 2) int, the widths and heights that a label may have,
    the one to prefer first, are pixels of a picture of `size` (width, height). A label lies in the
    picture, touches the `edge` pixels around its box, overlaps no other label and none of the
    rectangles `taken`, and hides as little as it can: with all others, `MOST_HIDDEN` of any box.
    `before` are the labels that these boxes had in the frame before, which are kept where they can.
    """
    rectangles, fits = _candidates(boxes, plates, size, edge)
    kept = _kept(before, plates.shape[1], len(boxes))
    areas = _areas(boxes)
    blocked = np.array(taken, np.int64).reshape(-1, 4)
    hidden = _overlaps(blocked[None], boxes).sum(axis=1)[0]
    most = np.maximum(hidden, MOST_HIDDEN * areas)
    newly = most if before is None else np.minimum(most, _NEWLY_HIDDEN * areas)

    def small(hides: np.ndarray, limits: np.ndarray) -> np.ndarray:
        # what is hidden too much already by something else is none of a label's business
        return ((hidden + hides <= limits) | (hides == 0)).all(axis=-1)

    placed: list[Placed | None] = []
    step = max(1, _AT_ONCE // max(1, rectangles.shape[1] * len(boxes)))
    for first in range(0, len(boxes), step):
        some = slice(first, first + step)
        hiding = _overlaps(rectangles[some], boxes)
        costs = _costs(hiding, boxes, plates, first, kept)
        for index in range(len(hiding)):
            number = first + index
            where, hides = rectangles[number], hiding[index]
            allowed, own = small(hides, newly), kept[number]
            if own >= 0:
                allowed[own] = small(hides[own], most)
            allowed &= fits[number] & ~_touch(where, blocked).any(axis=1)
            if not allowed.any():
                placed.append(None)
                continue
            best = int(np.where(allowed, costs[index], np.inf).argmin())
            hidden = hidden + hides[best]
            blocked = np.concatenate([blocked, where[best:best + 1]])
            left, top, right, bottom = (int(side) for side in where[best])
            placed.append(Placed((left, top, right, bottom), *divmod(best, len(PLACES))))
    return placed


def least_hiding(rectangles: Sequence[tuple[int, int, int, int]], boxes: np.ndarray,
                 before: int | None = None) -> int:
    """Return which rectangle hides the smallest shares of boxes; the one `before` if about as few.
    """
    hidden = _overlaps(np.array(rectangles)[None], boxes)[0] / np.maximum(_areas(boxes), 1)
    costs = hidden.sum(axis=1)
    if before is not None:
        costs[before] -= _MOVED
    return int(costs.argmin())


def same_objects(boxes: np.ndarray, labels: np.ndarray, old_boxes: np.ndarray,
                 old_labels: np.ndarray) -> list[int | None]:
    """Return, for each box, which old one of its class it was: the one it overlaps by half or more.

    No old box is given twice; of two that overlap it, the first has it.
    """
    if not len(old_boxes):
        return [None] * len(boxes)
    shared = _overlaps(boxes[None], old_boxes)[0]
    union = _areas(boxes)[:, None] + _areas(old_boxes)[None] - shared
    likeness = np.where(labels[:, None] == old_labels[None], shared / np.maximum(union, 1), 0)
    found: list[int | None] = []
    for row in likeness:
        best = int(row.argmax())
        found.append(best if row[best] >= 0.5 else None)
        if found[-1] is not None:
            likeness[:, best] = 0
    return found


def _candidates(boxes: np.ndarray, plates: np.ndarray, size: tuple[int, int], edge: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Return rectangles (N, S * places, 4), and which of them (N, S * places) can be had at all."""
    sides, fits = [], np.ones((len(boxes), plates.shape[1], len(PLACES)), bool)
    for axis in (0, 1):
        by_box, by_plate = PLACES[:, 2 * axis], PLACES[:, 2 * axis + 1]
        low = boxes[:, axis, None, None] - edge
        length = boxes[:, axis + 2, None, None] + edge - low
        extent = plates[:, :, axis, None]
        # a label beside its box shares the dark edge, so that there are not two
        apart = by_box + by_plate
        start = low + by_box * length + by_plate * extent - edge * apart
        start = np.floor(start).astype(np.int64)
        inside = np.clip(start, 0, np.maximum(size[axis] - extent, 0))
        # pushed along its box a label is still beside it, pushed over it no more
        fits &= (extent <= size[axis]) & ((inside == start) | (apart == 0))
        sides.append((inside, inside + extent))
    (left, right), (top, bottom) = sides
    rectangles = np.stack([left, top, right, bottom], axis=-1)
    count = plates.shape[1] * len(PLACES)
    return rectangles.reshape(len(boxes), count, 4), fits.reshape(len(boxes), count)


def _kept(before: Sequence[Placed | None] | None, count: int, boxes: int) -> np.ndarray:
    """Return which candidate (N,) each label was at in the frame before, -1 for none."""
    return np.array([-1 if each is None or each.plate >= count
                     else each.plate * len(PLACES) + each.place
                     for each in before or [None] * boxes], np.int64)


def _costs(hiding: np.ndarray, boxes: np.ndarray, plates: np.ndarray, first: int,
           kept: np.ndarray) -> np.ndarray:
    """Return what each candidate costs, for the boxes from number `first` on that `hiding` is of.
    """
    some = slice(first, first + len(hiding))
    others = np.ones((len(hiding), len(boxes)))
    inside = _overlaps(boxes[None, some], boxes)[0] >= _INSIDE * _areas(boxes[some])[:, None]
    others[inside] = 0
    within = np.where(inside, _AROUND, 0)
    within[np.arange(len(hiding)), np.arange(first, first + len(hiding))] = _OWN
    areas = plates[some].prod(axis=2)
    costs = (np.einsum("nkm,nm->nk", hiding, others) / areas[:, :1]
             + np.einsum("nkm,nm->nk", hiding, within) / areas.repeat(len(PLACES), axis=1))
    smaller = 1 - plates[some, :, 1] / plates[some, :1, 1]
    later = np.arange(len(PLACES)) * _LATER
    costs += (_SMALLER * smaller[:, :, None] + later).reshape(len(hiding), -1)
    known = np.flatnonzero(kept[some] >= 0)
    costs[known, kept[some][known]] -= _MOVED
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
