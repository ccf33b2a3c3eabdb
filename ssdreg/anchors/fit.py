"""Anchor sizes fitted to the boxes of a data set.

A fit keeps a plan's levels, ratios and numbers of anchors, and chooses the sizes: those whose
anchors, at their places on the levels' grids, overlap the boxes best. The overlap alone would put
every anchor on the finest level, whose grid is the densest; but the receptive field of a predictor
must cover its objects, which is why coarse levels take the large ones. So each level takes only
sizes of some of its cells, as in Liu et al., SSD, 2016: SSD300's are 3.6 to 5.4 cells on the three
finest levels and 1 to 3 on the coarsest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from ssdreg.anchors.match import MATCHED, best_overlaps, corners, grids, shapes
from ssdreg.detector.anchor_schemes import Sizes
from ssdreg.detector.plan import Plan

#: The sizes a level may have, in its cells. An object smaller than a cell and a half falls between
#: the anchors as often as on one; only the finest level has to take those.
LEAST_CELLS, MOST_CELLS = 1.5, 5.5
LEAST_CELLS_FINEST = 0.5
#: The least sizes of the coarsest levels, of one or two cells, whatever their cells are.
COARSE = 0.85

#: The ratio of neighbouring candidate sizes: finer ones change an IoU by less than two percent.
SIZE_STEP = 1.04
#: The weight of uneven steps between sizes, which decides only where the boxes do not.
EVENNESS = 0.005
#: The weight of a matched box, beside its IoU.
REWARD = 3
#: The most boxes of a class that count: all larger classes have the same weight.
CLASS_CAP = 200
#: The number of boxes a fit uses, and the seed that draws them from more.
SAMPLE_SIZE, SEED = 2000, 0
#: Starting points of the sizes in their ranges, besides evenly spaced ones.
START_HEIGHTS = (0.0, 0.5, 1.0)
#: Bound of the sweeps over all sizes; they mostly converge after three to six.
MAX_SWEEPS = 20


def small_boxes(boxes: np.ndarray, plan: Plan) -> np.ndarray:
    """Tell which boxes (n, 5) are smaller than an anchor of `LEAST_CELLS` of the finest cells.

    By area, (n,) bool; such a box falls between the anchors as often as on one.
    """
    finest = plan.levels[0]
    areas = (boxes[:, 3:] - boxes[:, 1:3]).prod(axis=1)
    return np.asarray(areas < LEAST_CELLS**2 / (finest.height * finest.width))


@frozen(eq=False)
class _Slot:
    """One size of one level: the range `first` to `last` of candidate indices that it may have.

    `overlaps` (last - first + 1, n) float32 is the best IoU of n boxes with the anchors of each
    candidate.
    """

    first: int
    last: int
    overlaps: np.ndarray


@frozen(eq=False)
class _Problem:
    """The optimization problem: the slots from fine to coarse, and the weight of each box (n,).

    `floor` is where even distances begin below the first slot. It and the sizes chosen are indices
    of candidates.
    """

    slots: tuple[_Slot, ...]
    weights: np.ndarray
    floor: int


def fit_sizes(boxes: ArrayLike, plan: Plan) -> Sizes:
    """Return sizes per level for the anchors of `plan` that fit `boxes`.

    `boxes` is (n, 4), x1, y1, x2, y2 as shares of the image, or (n, 5) with a class in front, as
    `ssdreg.data.boxes.boxes` gives them: then classes with many boxes count alike, as they do in
    a mean of average precisions. The plan's levels, ratios and numbers of sizes are kept; its own
    sizes do not matter. Sizes rise, also from level to level; those that no box needs keep an
    even distance. The same boxes and plan always give the same sizes, of three significant digits.

    Raises DataError when there is no box, or one encloses nothing.
    """
    sample, weights = _sample(corners(boxes), _weights(np.asarray(boxes, dtype=np.float64)))
    candidates, ranges = _ranges(plan)
    slots = tuple(
        _Slot(first, last, _overlaps(sample, plan, level, size_index, candidates[first:last + 1]))
        for level, size_index, first, last in ranges)
    floor = int(np.searchsorted(candidates, LEAST_CELLS / plan.levels[0].height))
    fitted = iter(candidates[_choose(_Problem(slots, weights, floor))].tolist())
    return tuple(tuple(next(fitted) for _ in sizes) for sizes in plan.sizes)


def _weights(boxes: np.ndarray) -> np.ndarray:
    """Return the weight of each box (n,); they sum to 1."""
    if boxes.shape[1] == 4:
        return np.full(len(boxes), 1 / len(boxes))
    _, class_index, counts = np.unique(boxes[:, 0], return_inverse=True, return_counts=True)
    weights = (np.minimum(counts, CLASS_CAP) / counts)[class_index]
    return weights / weights.sum()


def _sample(boxes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw `SAMPLE_SIZE` boxes by their weights where there are more."""
    if len(boxes) <= SAMPLE_SIZE:
        return boxes, weights
    drawn = np.random.default_rng(SEED).choice(len(boxes), SAMPLE_SIZE, p=weights)
    return boxes[drawn], np.full(SAMPLE_SIZE, 1 / SAMPLE_SIZE)


def _ranges(plan: Plan) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Return the candidate sizes and, for each size of each level, its range of candidates.

    A range is the level, the index of the size in it, and the first and last candidate's index.
    """
    cells = [1 / level.height for level in plan.levels]
    # an anchor of the size sqrt(width / height) has the image's area
    limits = [math.sqrt(level.width / level.height) for level in plan.levels]
    limits = [min(limits[index:]) for index in range(len(limits))]
    low = [min(LEAST_CELLS * cell, COARSE * limit) for cell, limit in zip(cells, limits)]
    # up to where the next level begins, however much coarser that is
    high = [min(max(MOST_CELLS * cell, after), limit)
            for cell, after, limit in zip(cells, low[1:], limits)] + limits[-1:]
    low[0] = min(LEAST_CELLS_FINEST * cells[0], low[0])
    slots = [(level, size_index) for level, sizes in enumerate(plan.sizes)
             for size_index in range(len(sizes))]
    # one more candidate than needed for each slot, so that strictly rising sizes always exist
    count = math.ceil(math.log(limits[-1] / low[0], SIZE_STEP)) + len(slots)
    candidates = limits[-1] / SIZE_STEP ** np.arange(count, -1, -1)
    first = [int(np.searchsorted(candidates, low[level])) for level, _ in slots]
    last = [int(np.searchsorted(candidates, high[level] * (1 + 1e-9), "right")) - 1
            for level, _ in slots]
    for index in reversed(range(len(slots) - 1)):
        last[index] = min(last[index], last[index + 1] - 1)
    rounded = np.array([float(f"{size:.3g}") for size in candidates])
    return rounded, [(level, size_index, min(least, most), most)
                     for (level, size_index), least, most in zip(slots, first, last)]


def _overlaps(boxes: np.ndarray, plan: Plan, level: int, size_index: int, sizes: np.ndarray
              ) -> np.ndarray:
    """Return the best IoU (sizes, n) of boxes with the anchors of a level's size `size_index`."""
    grid = grids(plan)[level]
    # only the first size of a level comes in every ratio
    ratios = plan.ratios[level] if size_index == 0 else plan.ratios[level][:1]
    return np.array([best_overlaps(boxes, grid, shapes(grid, (size,), ratios)).max(axis=1)
                     for size in sizes], dtype=np.float32)


def _choose(problem: _Problem) -> np.ndarray:
    """Choose a size for each slot: the best local optimum from several starts."""
    optima = [_improve_all(start, problem) for start in _starts(problem.slots)]
    return max(optima, key=lambda chosen: _objective(chosen, problem))


def _starts(slots: Sequence[_Slot]) -> list[np.ndarray]:
    """Return rising sizes to start from: evenly spaced, and low to high in their ranges."""
    first = np.array([slot.first for slot in slots])
    last = np.array([slot.last for slot in slots])
    starts = [np.linspace((first[0] + last[0]) / 2, last[-1], len(slots)),
              *(first + (last - first) * height for height in START_HEIGHTS)]
    # each at least one above the previous; the ends of the ranges rise like that, too
    order = np.arange(len(slots))
    rising = [np.maximum.accumulate(np.clip(start.round().astype(int), first, last) - order)
              for start in starts]
    return [np.minimum(start + order, last) for start in rising]


def _improve_all(chosen: np.ndarray, problem: _Problem) -> np.ndarray:
    """Improve two neighbours at a time, from the finest to the coarsest, until none changes."""
    for _ in range(MAX_SWEEPS):
        before = chosen.copy()
        for index in range(max(1, len(chosen) - 1)):
            _improve(chosen, index, problem)
        if (chosen == before).all():
            break
    return chosen


def _improve(chosen: np.ndarray, index: int, problem: _Problem) -> None:
    """Set the slot `index` and the one behind it to their best sizes between their neighbours."""
    pair = range(index, min(index + 2, len(chosen)))
    others = [_overlap(slot, size_index) for position, (slot, size_index)
              in enumerate(zip(problem.slots, chosen)) if position not in pair]
    rest = np.max(others, axis=0) if others else np.zeros(len(problem.weights), np.float32)
    below = chosen[index - 1] if index else -1
    above = chosen[pair.stop] if pair.stop < len(chosen) else problem.slots[-1].last + 1
    ends = (problem.floor if below < 0 else below, above)
    first_slot, *second_slots = (problem.slots[position] for position in pair)
    best_score, best_pair = -math.inf, chosen[pair.start:pair.stop].copy()
    for first in range(max(first_slot.first, below + 1), min(first_slot.last, above - 1) + 1):
        overlaps = np.maximum(rest, _overlap(first_slot, first))[None]
        choices = np.array([[first]])
        for slot in second_slots:
            seconds = np.arange(max(slot.first, first + 1), min(slot.last, above - 1) + 1)
            overlaps = np.maximum(overlaps, slot.overlaps[seconds - slot.first])
            choices = np.column_stack([np.full_like(seconds, first), seconds])
        scores = _score(overlaps, problem.weights) - EVENNESS * _unevenness(choices, ends)
        if len(scores) and scores.max() > best_score:
            best_score, best_pair = scores.max(), choices[scores.argmax()]
    chosen[pair.start:pair.stop] = best_pair


def _objective(chosen: np.ndarray, problem: _Problem) -> float:
    """Return the value of the sizes chosen for all slots."""
    overlaps = np.max([_overlap(slot, size_index)
                       for slot, size_index in zip(problem.slots, chosen)], axis=0)
    ends = problem.floor, problem.slots[-1].last + 1
    return float(_score(overlaps, problem.weights) - EVENNESS * _unevenness(chosen[None], ends)[0])


def _overlap(slot: _Slot, size_index: int) -> np.ndarray:
    return slot.overlaps[size_index - slot.first]


def _score(overlaps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the value of overlaps (..., n): the share of boxes matched, and their mean IoU."""
    return (overlaps + REWARD * (overlaps >= MATCHED)) @ weights


def _unevenness(choices: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """Return the sum of squared distances from size to size, of logarithms, for each row."""
    steps = np.insert(choices, (0, choices.shape[1]), ends, axis=1)
    return np.square(np.diff(steps, axis=1) * math.log(SIZE_STEP)).sum(axis=1)
