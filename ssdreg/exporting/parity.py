"""Do two runtimes find the same? Detections compared row by row, and every difference explained.

Two runtimes add in another order, so their numbers differ in the last digits. Where two scores are
tied, or a number lies at a limit (an overlap at that of suppression, a score at the threshold or
at the end of the best that are looked at), that decides which rows come first or stay. Such a
difference counts as a tie only when it is proved from the numbers of both sides: a row that one of
them dropped still holds its score and its box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import evolve, frozen

from ssdreg.detector.post_processing import PostProcessing

#: The rounding error of an overlap that is computed anew.
ROUNDING = 1e-6
#: Mismatches that are described one by one.
TOLD = 10


@frozen
class Tolerance:
    """The differences within which two values count as the same.

    `value`: scores and coordinates of one row; `tie`: scores that count as equal; `overlap`: two
    computations of one IoU at its limit.
    """

    value: float = 1e-3
    tie: float = 1e-5
    overlap: float = 1e-3


#: For networks computed in half precision, which has three digits.
HALF = Tolerance(value=3e-2, tie=1e-2, overlap=1e-1)


@frozen
class Parity:
    """The result of a comparison.

    `boxes` is how many rows of the reference were compared, `score` and `coordinate` the largest
    differences among those that are the same on both sides. `ties` counts rows that stand in
    another place among equal scores, or are on one side only, for a proved reason. `mismatches`
    is everything else; the first `TOLD` of them are told in `sentences`.
    """

    boxes: int = 0
    score: float = 0.0
    coordinate: float = 0.0
    ties: int = 0
    mismatches: int = 0
    sentences: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether both find the same, ties aside."""
        return not self.mismatches

    def __add__(self, other: Parity) -> Parity:
        """Return what both comparisons found together."""
        return Parity(self.boxes + other.boxes, max(self.score, other.score),
                      max(self.coordinate, other.coordinate), self.ties + other.ties,
                      self.mismatches + other.mismatches,
                      (*self.sentences, *other.sentences)[:TOLD])


def compare(reference: np.ndarray, other: np.ndarray, rules: PostProcessing | None = None,
            tolerance: Tolerance | None = None) -> Parity:
    """Compare detections (B, N, 6) with others (B, K, 6) of the same images.

    Rows are class, score, x1, y1, x2, y2; class -1 marks dropped ones. `rules` are what both were
    suppressed by: without, a row that only one side has is always a mismatch. Both sides are to
    keep score and box in rows that suppression dropped, as MXNet and exported files do.
    """
    if len(reference) != len(other):
        raise ValueError(f"{len(reference)} and {len(other)} images cannot be compared")
    total = Parity()
    for index, (one, two) in enumerate(zip(reference, other)):
        parity = _Image(_Side.read(one, rules), _Side.read(two, rules), rules,
                        tolerance or Tolerance()).compare()
        total += evolve(parity, sentences=tuple(f"image {index}: {sentence}"
                                                for sentence in parity.sentences))
    return total


@frozen(eq=False)
class _Side:
    """What one side looked at, in its order: rows (M, 6), and which of them it kept (M,)."""

    rows: np.ndarray
    kept: np.ndarray

    @classmethod
    def read(cls, rows: np.ndarray, rules: PostProcessing | None) -> _Side:
        if rules is not None and rules.nms_topk > 0 and rules.suppresses:
            # behind them MXNet leaves rows as they stood before sorting
            rows = rows[:rules.nms_topk]
        rows = rows[(rows[:, 0] >= 0) | (rows[:, 1] >= 0)].astype(np.float64)
        return cls(rows, rows[:, 0] >= 0)


class _Image:
    """The comparison of one image; `pairs` tell which row of each side is which of the other."""

    def __init__(self, one: _Side, two: _Side, rules: PostProcessing | None,
                 tolerance: Tolerance) -> None:
        self.sides, self.rules, self.tolerance = (one, two), rules, tolerance
        self.pairs: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def compare(self) -> Parity:
        """Match, then look at what is left and at the order."""
        one, two = self.sides
        mine, yours = (np.flatnonzero(side.kept) for side in self.sides)
        self._match(mine, yours, same_class=True)
        matched = np.array([(i, self.pairs[0][i]) for i in mine.tolist()
                            if i in self.pairs[0]], np.int64).reshape(-1, 2)
        apart = np.abs(one.rows[matched[:, 0]] - two.rows[matched[:, 1]])
        if len(matched) == len(mine) == len(yours) and (np.diff(matched[:, 1]) > 0).all():
            issues, ties = [], 0
        else:
            # what is dropped on one side, or has another class there
            left = [np.setdiff1d(np.arange(len(side.rows)), list(pairs))
                    for side, pairs in zip(self.sides, self.pairs)]
            self._match(left[0], left[1], same_class=False)
            moved, disorder = self._order(matched)
            lone = [issue for keeper in (0, 1) for issue in self._lone(keeper)]
            issues = [*disorder, *filter(None, lone)]
            ties = moved - len(disorder) + sum(issue is None for issue in lone)
        return Parity(len(mine), float(apart[:, 1].max(initial=0)),
                      float(apart[:, 2:].max(initial=0)), ties, len(issues),
                      tuple(issues[:TOLD]))

    def _match(self, mine: np.ndarray, yours: np.ndarray, same_class: bool) -> None:
        """Pair rows that are the same within the tolerance: the nearest, then that in its place."""
        one, two = (side.rows for side in self.sides)
        within = self.tolerance.value
        order = np.argsort(two[yours, 1], kind="stable")
        scores = two[yours, 1][order]
        free = np.ones(len(yours), bool)
        for place, index in enumerate(mine):
            row = one[index]
            first, last = np.searchsorted(scores, (row[1] - within, row[1] + within))
            near = order[first:last]
            near = near[free[near]]
            if same_class:
                near = near[two[yours[near], 0] == row[0]]
            apart = np.abs(two[yours[near], 1:] - row[1:]).max(axis=1, initial=0)
            near, apart = near[apart <= within], apart[apart <= within]
            if len(near):
                best = near[np.lexsort((np.abs(near - place), apart))[0]]
                free[best] = False
                self.pairs[0][int(index)] = int(yours[best])
                self.pairs[1][int(yours[best])] = int(index)

    def _order(self, matched: np.ndarray) -> tuple[int, list[str]]:
        """Return how many rows stand in other places, and those that no tie explains."""
        places = np.argsort(np.argsort(matched[:, 1]))
        moved = np.flatnonzero(places != np.arange(len(places)))
        scores = [side.rows[matched[:, number], 1] for number, side in enumerate(self.sides)]
        issues = []
        for index in moved:
            turned = ((np.arange(len(places)) < index) & (places > places[index])
                      | (np.arange(len(places)) > index) & (places < places[index]))
            apart = [np.abs(values[turned] - values[index]).max(initial=0) for values in scores]
            if max(apart) > self.tolerance.tie:
                issues.append(f"{self._name(0, matched[index, 0])} stands in another place, "
                              f"and its score differs by {max(apart):.2g} from those it changed "
                              f"places with")
        return len(moved), issues

    def _lone(self, keeper: int) -> Iterator[str | None]:
        """Yield, for each row that only this side keeps, None for a tie or what is wrong."""
        side, against = self.sides[keeper], self.sides[1 - keeper]
        for index in np.flatnonzero(side.kept).tolist():
            pair = self.pairs[keeper].get(index)
            if pair is None:
                explained = self._at_a_limit(side.rows[index, 1], against)
                why = "has nothing like it, and its score is at no limit"
            elif against.kept[pair]:
                if against.rows[pair, 0] == side.rows[index, 0]:
                    continue
                explained, why = False, f"calls it class {against.rows[pair, 0]:g}"
            else:
                # of rows that are alike any may be the one, their class being lost
                explained = any(self._suppressed(keeper, index, int(alike))
                                for alike in self._alike(side.rows[index], against))
                why = "drops it, and no overlap is at its limit"
            yield None if explained else (f"{self._name(keeper, index)} is in the "
                                          f"{_NAMES[keeper]} only: the {_NAMES[1 - keeper]} {why}")

    def _alike(self, row: np.ndarray, against: _Side) -> np.ndarray:
        """Return the rows that the other side dropped and that could be this one."""
        apart = np.abs(against.rows[:, 1:] - row[1:]).max(axis=1)
        return np.flatnonzero(~against.kept & (apart <= self.tolerance.value))

    def _at_a_limit(self, score: float, against: _Side) -> bool:
        """Tell whether the other side may not have looked at a row of this score."""
        rules, tie = self.rules, self.tolerance.tie
        if rules is None:
            return False
        at_threshold = abs(score - rules.threshold) <= tie
        full = rules.nms_topk > 0 and len(against.rows) == rules.nms_topk
        return bool(at_threshold or (full and score - against.rows[:, 1].min() <= tie))

    def _suppressed(self, keeper: int, index: int, pair: int) -> bool:
        """Prove that a row was kept on one side and dropped on the other because of a tie.

        Each side must have done right by its own numbers, and what suppressed the row on one must
        have come behind it, overlapped it by a hair less, or not been kept, on the other.
        """
        rules, side, against = self.rules, self.sides[keeper], self.sides[1 - keeper]
        if rules is None or not rules.suppresses:
            return False
        label = side.rows[index, 0]
        above = self._rivals(side, index, label)
        if (_overlaps(side.rows[index], side.rows[above]) >= rules.nms_threshold + ROUNDING).any():
            return False
        rivals = self._rivals(against, pair, label)
        overlaps = _overlaps(against.rows[pair], against.rows[rivals])
        for rival, overlap in zip(rivals, overlaps):
            if overlap < rules.nms_threshold - ROUNDING:
                continue
            here = self.pairs[1 - keeper].get(int(rival))
            if here is None:
                return True  # this side did not look at the rival: `_lone` examines that row
            if here > index:
                tied = [abs(rows[one, 1] - rows[two, 1]) <= self.tolerance.tie
                        for rows, one, two in ((side.rows, index, here),
                                               (against.rows, pair, rival))]
                if all(tied):
                    return True
            elif not side.kept[here]:
                return True  # likewise
            elif overlap - _overlaps(side.rows[index], side.rows[[here]])[0] \
                    <= self.tolerance.overlap:
                return True
        return False

    def _rivals(self, side: _Side, index: int, label: float) -> np.ndarray:
        """Return the kept rows before one that could suppress it."""
        assert self.rules is not None
        same = side.rows[:index, 0] == label
        return np.flatnonzero(side.kept[:index] & (same | self.rules.force_suppress))

    def _name(self, number: int, index: int) -> str:
        label, score, *box = self.sides[number].rows[index]
        sides = ", ".join(f"{value:.3f}" for value in box)
        return f"class {label:g} of score {score:.5f} at ({sides})"


_NAMES = ("reference", "other")


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of a row's box with those of other rows; 0 where the union is empty."""
    low, high = np.maximum(box[2:4], others[:, 2:4]), np.minimum(box[4:6], others[:, 4:6])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = (box[4:6] - box[2:4]).prod() + (others[:, 4:6] - others[:, 2:4]).prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
