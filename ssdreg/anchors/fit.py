"""Anchor sizes fitted to the boxes of a data set.

A fit keeps what a plan has decided (levels, ratios, number of anchors) and chooses the sizes. It
seeks those whose anchors, where they stand on the levels' grids, overlap the boxes best. The
overlap alone would put every anchor on the finest level, whose grid is the densest; but what sees
an object must have seen all of it, and a coarse level is there for the large ones. So each level
takes only sizes of some of its cells, as in Liu et al., SSD, 2016: SSD300's are 3.6 to 5.4 cells on
the three finest levels and 1 to 3 on the coarsest.
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
#: the anchors as often as on one; only the finest level has to do with what there is.
LEAST_CELLS, MOST_CELLS = 1.5, 5.5
LEAST_CELLS_FINEST = 0.5
#: The coarsest levels, of a cell or two, have sizes from here on whatever their cells are.
COARSE = 0.85

#: Sizes tried are this factor apart: finer steps change an overlap by less than two percent.
STEP = 1.04
#: What uneven steps between sizes cost. It decides only where the boxes do not.
EVENNESS = 0.005
#: What a matched box counts beside its overlap.
REWARD = 3
#: From this many boxes on, a class counts no more than others do.
ENOUGH = 200
#: Boxes looked at, and the seed that draws them from more.
SAMPLE, SEED = 2000, 0
#: Where in their ranges the sizes are at the start, besides evenly far apart.
START_HEIGHTS = (0.0, 0.5, 1.0)
#: Sweeps over all sizes; they end by themselves, mostly after three to six.
MOST_SWEEPS = 20


@frozen(eq=False)
class _Slot:
    """One size of one level: the sizes it may have, `first` to `last` in the list of all tried.

    `overlaps` (last - first + 1, n) are the best IoU of n boxes with the anchors of each.
    """

    first: int
    last: int
    overlaps: np.ndarray


@frozen(eq=False)
class _Task:
    """What to choose sizes for: the slots from fine to coarse, and what each box (n,) counts.

    `floor` is where even distances begin below the first slot; both it and what is chosen are
    indices in the list of all sizes tried.
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
    found, weights = _sample(corners(boxes), _weights(np.asarray(boxes, dtype=np.float64)))
    tried, ranges = _ranges(plan)
    slots = tuple(_Slot(first, last, _overlaps(found, plan, level, nth, tried[first:last + 1]))
                  for level, nth, first, last in ranges)
    floor = int(np.searchsorted(tried, LEAST_CELLS / plan.levels[0].height))
    best = iter(tried[_choose(_Task(slots, weights, floor))].tolist())
    return tuple(tuple(next(best) for _ in sizes) for sizes in plan.sizes)


def _weights(boxes: np.ndarray) -> np.ndarray:
    """Return what each box (n,) counts; all together count 1."""
    if boxes.shape[1] == 4:
        return np.full(len(boxes), 1 / len(boxes))
    _, kind, counts = np.unique(boxes[:, 0], return_inverse=True, return_counts=True)
    weights = (np.minimum(counts, ENOUGH) / counts)[kind]
    return weights / weights.sum()


def _sample(boxes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw boxes by their weights where there are more than are looked at."""
    if len(boxes) <= SAMPLE:
        return boxes, weights
    drawn = np.random.default_rng(SEED).choice(len(boxes), SAMPLE, p=weights)
    return boxes[drawn], np.full(SAMPLE, 1 / SAMPLE)


def _ranges(plan: Plan) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """List the sizes to be tried and, for each size of each level, the range it may be in.

    A range is the level, which of its sizes it is, and the first and last index it may have.
    """
    cells = [1 / level.height for level in plan.levels]
    # a size of the root of width / height covers as much as the image does
    limits = [math.sqrt(level.width / level.height) for level in plan.levels]
    limits = [min(limits[index:]) for index in range(len(limits))]
    low = [min(LEAST_CELLS * cell, COARSE * limit) for cell, limit in zip(cells, limits)]
    # up to where the next level begins, however much coarser that is
    high = [min(max(MOST_CELLS * cell, after), limit)
            for cell, after, limit in zip(cells, low[1:], limits)] + limits[-1:]
    low[0] = min(LEAST_CELLS_FINEST * cells[0], low[0])
    slots = [(level, nth) for level, sizes in enumerate(plan.sizes) for nth in range(len(sizes))]
    # with a size more for each slot than needed, rising ones can always be found
    count = math.ceil(math.log(limits[-1] / low[0], STEP)) + len(slots)
    tried = limits[-1] / STEP ** np.arange(count, -1, -1)
    first = [int(np.searchsorted(tried, low[level])) for level, _ in slots]
    last = [int(np.searchsorted(tried, high[level] * (1 + 1e-9), "right")) - 1
            for level, _ in slots]
    for index in reversed(range(len(slots) - 1)):
        last[index] = min(last[index], last[index + 1] - 1)
    rounded = np.array([float(f"{size:.3g}") for size in tried])
    return rounded, [(level, nth, min(least, most), most)
                     for (level, nth), least, most in zip(slots, first, last)]


def _overlaps(boxes: np.ndarray, plan: Plan, level: int, nth: int, sizes: np.ndarray
              ) -> np.ndarray:
    """Return the (sizes, n) best IoU of boxes with the anchors that the `nth` size stands for."""
    grid = grids(plan)[level]
    # only the first size of a level comes in every ratio
    ratios = plan.ratios[level] if nth == 0 else plan.ratios[level][:1]
    return np.array([best_overlaps(boxes, grid, shapes(grid, (size,), ratios)).max(axis=1)
                     for size in sizes], dtype=np.float32)


def _choose(task: _Task) -> np.ndarray:
    """Choose a size for each slot: the best sizes that are reached from several starts."""
    reached = [_climb(start, task) for start in _starts(task.slots)]
    return max(reached, key=lambda chosen: _worth(chosen, task))


def _starts(slots: Sequence[_Slot]) -> list[np.ndarray]:
    """Return rising sizes to start from: evenly far apart, and low to high in their ranges."""
    first = np.array([slot.first for slot in slots])
    last = np.array([slot.last for slot in slots])
    wanted = [np.linspace((first[0] + last[0]) / 2, last[-1], len(slots)),
              *(first + (last - first) * height for height in START_HEIGHTS)]
    # each at least one above the one before; the ends of the ranges rise like that, too
    order = np.arange(len(slots))
    rising = [np.maximum.accumulate(np.clip(start.round().astype(int), first, last) - order)
              for start in wanted]
    return [np.minimum(start + order, last) for start in rising]


def _climb(chosen: np.ndarray, task: _Task) -> np.ndarray:
    """Improve two neighbours at a time, from the finest to the coarsest, until none changes."""
    for _ in range(MOST_SWEEPS):
        before = chosen.copy()
        for index in range(max(1, len(chosen) - 1)):
            _improve(chosen, index, task)
        if (chosen == before).all():
            break
    return chosen


def _improve(chosen: np.ndarray, index: int, task: _Task) -> None:
    """Set the slot `index` and the one behind it to their best sizes between their neighbours."""
    pair = range(index, min(index + 2, len(chosen)))
    others = [_overlap(slot, here) for position, (slot, here)
              in enumerate(zip(task.slots, chosen)) if position not in pair]
    rest = np.max(others, axis=0) if others else np.zeros(len(task.weights), np.float32)
    below = chosen[index - 1] if index else -1
    above = chosen[pair.stop] if pair.stop < len(chosen) else task.slots[-1].last + 1
    ends = (task.floor if below < 0 else below, above)
    here, *behind = (task.slots[position] for position in pair)
    best, found = -math.inf, chosen[pair.start:pair.stop].copy()
    for first in range(max(here.first, below + 1), min(here.last, above - 1) + 1):
        overlaps, choices = np.maximum(rest, _overlap(here, first))[None], np.array([[first]])
        for slot in behind:
            seconds = np.arange(max(slot.first, first + 1), min(slot.last, above - 1) + 1)
            overlaps = np.maximum(overlaps, slot.overlaps[seconds - slot.first])
            choices = np.column_stack([np.full_like(seconds, first), seconds])
        scores = _score(overlaps, task.weights) - EVENNESS * _unevenness(choices, ends)
        if len(scores) and scores.max() > best:
            best, found = scores.max(), choices[scores.argmax()]
    chosen[pair.start:pair.stop] = found


def _worth(chosen: np.ndarray, task: _Task) -> float:
    """Return what the sizes chosen for all slots are worth."""
    overlaps = np.max([_overlap(slot, here) for slot, here in zip(task.slots, chosen)], axis=0)
    ends = task.floor, task.slots[-1].last + 1
    return float(_score(overlaps, task.weights) - EVENNESS * _unevenness(chosen[None], ends)[0])


def _overlap(slot: _Slot, here: int) -> np.ndarray:
    return slot.overlaps[here - slot.first]


def _score(overlaps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what overlaps (..., n) are worth: how many boxes are matched, and how well."""
    return (overlaps + REWARD * (overlaps >= MATCHED)) @ weights


def _unevenness(choices: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """Return the sum of squared distances from size to size, of logarithms, for each row."""
    line = np.insert(choices, (0, choices.shape[1]), ends, axis=1)
    return np.square(np.diff(line, axis=1) * math.log(STEP)).sum(axis=1)
