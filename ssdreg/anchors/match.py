"""The match of a plan's anchors with boxes: which boxes have an anchor of sufficient IoU.

SSD learns an object only through anchors that overlap it by an IoU of 0.5 or more, and through the
best one (Liu et al., SSD, 2016, section 2.2, "Matching strategy"). An object whose best anchor
overlaps it less is hard to learn, however long the training.

The anchors are not laid out: those of one shape stand in a grid, and two boxes of fixed shape
overlap the more, the nearer their centres are, down and across. So the best anchor of a shape is
the one with the nearest centre, and those above a threshold are counted in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from ssdreg.detector.plan import Plan
from ssdreg.errors import DataError

#: The least IoU of an anchor that learns an object.
MATCHED = 0.5
#: Boxes matched at a time, so that a large data set needs little memory.
_CHUNK_BOXES = 8192


@frozen
class Grid:
    """The grid of a level's anchors: its cells, and the distance of their centres.

    `down` and `across` are shares of the image's height and width. Centres lie in the middle of
    their step, as MultiBoxPrior places them.
    """

    rows: int
    columns: int
    down: float
    across: float


@frozen
class LevelMatch:
    """The matches of one level's anchors.

    `matched` counts the boxes that an anchor of this level overlaps by 0.5 or more, `best` those
    whose best anchor of all is on this level, and `positives` the pairs of a box and an anchor of
    this level with an IoU of 0.5 or more.
    """

    matched: int
    best: int
    positives: int


@frozen(eq=False)
class Matching:
    """How well a plan's anchors fit n boxes, box by box and level by level.

    `overlap` (n,) float64 is the IoU of each box with its best anchor, `level` (n,) the level that
    anchor is on.
    """

    levels: tuple[LevelMatch, ...]
    overlap: np.ndarray
    level: np.ndarray

    @property
    def boxes(self) -> int:
        """The number of boxes."""
        return len(self.overlap)

    @property
    def matched(self) -> np.ndarray:
        """Which boxes (n,) have an anchor of IoU 0.5 or more on any level."""
        return self.overlap >= MATCHED

    @property
    def share(self) -> float:
        """The share of boxes that are matched on any level."""
        return float(self.matched.mean())

    @property
    def mean_overlap(self) -> float:
        """The mean IoU of boxes with their best anchor."""
        return float(self.overlap.mean())

    @property
    def positives(self) -> float:
        """The mean number of anchors that overlap a box by 0.5 or more."""
        return sum(level.positives for level in self.levels) / self.boxes


def matches(boxes: ArrayLike, plan: Plan) -> Matching:
    """Match `boxes` with the anchors of `plan`.

    `boxes` is (n, 4), x1, y1, x2, y2 as shares of the image, or (n, 5) with a class in front, as
    `ssdreg.data.boxes.boxes` gives them. Raises DataError as `corners` does.
    """
    box_corners = corners(boxes)
    parts = [_match_chunk(box_corners[start:start + _CHUNK_BOXES], plan)
             for start in range(0, len(box_corners), _CHUNK_BOXES)]
    # (levels, n) each
    overlaps, counts = (np.concatenate(part, axis=1) for part in zip(*parts))
    best = overlaps.argmax(axis=0)
    levels = tuple(
        LevelMatch(int((overlap >= MATCHED).sum()), int((best == level).sum()), int(count.sum()))
        for level, (overlap, count) in enumerate(zip(overlaps, counts)))
    return Matching(levels, overlaps.max(axis=0), best)


def corners(boxes: ArrayLike) -> np.ndarray:
    """Return the (n, 4) float64 corners of boxes (n, 4), or of (n, 5) with a class in front.

    Raises DataError when there is no box, or one encloses nothing or is not finite.
    """
    rows = np.asarray(boxes, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] not in (4, 5) or not len(rows):
        raise DataError(f"boxes of shape {rows.shape} cannot be matched with anchors: give at "
                        f"least one row of x1, y1, x2, y2, or of these with a class in front")
    rows = rows[:, -4:]
    with np.errstate(invalid="ignore"):
        valid = (np.isfinite(rows).all(axis=1)
                 & (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1]))
    if not valid.all():
        index = int(np.argmin(valid))
        raise DataError(f"box {index} ({', '.join(f'{edge:g}' for edge in rows[index])}) encloses "
                        f"nothing: x1 must be below x2 and y1 below y2; leave it out")
    return rows


def grids(plan: Plan) -> tuple[Grid, ...]:
    """Return the grid of each level."""
    level_grids = []
    for index, level in enumerate(plan.levels):
        step = plan.steps[index] if plan.steps else (1 / level.height, 1 / level.width)
        down, across = step if isinstance(step, tuple) else (step, step)
        level_grids.append(Grid(level.height, level.width, down, across))
    return tuple(level_grids)


def shapes(grid: Grid, sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Return the (A, 2) widths and heights of a level's anchors, in the order of its predictors.

    Both are shares of the image; see :func:`ssdreg.ops.prior` for what sizes and ratios mean.
    """
    pairs = np.array([*((size, ratios[0]) for size in sizes),
                      *((sizes[0], ratio) for ratio in ratios[1:])])
    size, root = pairs[:, 0], np.sqrt(pairs[:, 1])
    return np.stack([size * root * grid.rows / grid.columns, size / root], axis=1)


def best_overlaps(boxes: np.ndarray, grid: Grid, shapes: np.ndarray) -> np.ndarray:
    """Return the (n, A) greatest IoU of boxes (n, 4) with the anchors of each shape (A, 2)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, 2:] + boxes[:, :2]) / 2
    common_area = np.ones((len(boxes), len(shapes)))
    for axis, (count, step) in enumerate(((grid.columns, grid.across), (grid.rows, grid.down))):
        nearest = np.clip(np.floor(centers[:, axis] / step), 0, count - 1)
        distance = np.abs((nearest + 0.5) * step - centers[:, axis])
        common_area *= _common_length(sides[:, axis, None], shapes[:, axis], distance[:, None])
    return common_area / (sides.prod(axis=1)[:, None] + shapes.prod(axis=1) - common_area)


def _common_length(side: np.ndarray, anchor: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the common length of two intervals whose centres are at a `distance`."""
    return np.clip((side + anchor) / 2 - distance, 0, np.minimum(side, anchor))


def _match_chunk(boxes: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return, as (levels, n), the best IoU and the number of anchors with an IoU of 0.5."""
    overlaps, counts = [], []
    for level, grid in enumerate(grids(plan)):
        anchor_shapes = shapes(grid, plan.sizes[level], plan.ratios[level])
        overlaps.append(best_overlaps(boxes, grid, anchor_shapes).max(axis=1))
        counts.append(sum(_count_positives(boxes, grid, shape) for shape in anchor_shapes))
    return np.array(overlaps), np.array(counts)


def _count_positives(boxes: np.ndarray, grid: Grid, shape: np.ndarray) -> np.ndarray:
    """Count, for each box (n,), the anchors of one shape (2,) that overlap it by 0.5 or more."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, 2:] + boxes[:, :2]) / 2
    columns = (np.arange(grid.columns) + 0.5) * grid.across
    common_width = _common_length(sides[:, :1], shape[0], np.abs(columns - centers[:, :1]))
    # IoU >= t is: the area in common >= t / (1 + t) of both areas' sum
    needed_area = (sides.prod(axis=1) + shape.prod())[:, None] * (MATCHED / (1 + MATCHED))
    with np.errstate(divide="ignore"):
        # the common height that an anchor in a column needs, (n, columns)
        needed_height = needed_area / common_width
    height = sides[:, 1:]
    # the greatest distance of centres, down, for that
    reach = (height + shape[1]) / 2 - needed_height
    first = np.ceil((centers[:, 1:] - reach) / grid.down - 0.5)
    last = np.floor((centers[:, 1:] + reach) / grid.down - 0.5)
    rows = np.clip(last, -1, grid.rows - 1) - np.clip(first, 0, grid.rows) + 1
    fits = (needed_height <= np.minimum(height, shape[1])) & (reach >= 0)
    return np.where(fits, np.maximum(rows, 0), 0).sum(axis=1).astype(np.int64)
