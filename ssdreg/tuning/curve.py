"""What a learning-rate range test measured, and which rates it leaves to a search."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.errors import RunError
from ssdreg.registry.converters import as_tuple

#: A smoothed loss is the mean of this share of all steps to either side.
WINDOW = 0.05
#: How much of the mean before it a trailing mean keeps.
TRAILING = 0.9
#: The loss has diverged where it is so many times the least one, by their trailing means.
DIVERGED = 4.0
#: The share of its whole fall after which the loss counts as falling, and by which it may rise
#: again before a rate counts as too high.
FALLING, RISING = 0.05, 0.1
#: The highest rate to try is at least so many times the lowest: a curve of few steps is noisy.
LEAST_SPAN = 10.0
_FIELDS = ("rate", "loss")


@frozen
class RateCurve:
    """The losses of a few steps with ever higher learning rates, a step each.

    A loss is that of training, classification and boxes together; one that is not finite ends the
    curve and is left out. Raises ValueError where there are fewer than three steps.
    """

    rates: tuple[float, ...] = field(converter=as_tuple, repr=False)
    losses: tuple[float, ...] = field(converter=as_tuple, repr=False)
    _smoothed: tuple[float, ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if len(self.rates) != len(self.losses) or len(self.rates) < 3:
            raise ValueError("a range test needs a rate and a loss for each of three or more steps")

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The losses, each the mean of those around it, so that none is moved to a higher rate."""
        return self._smoothed

    @_smoothed.default
    def _smooth(self) -> tuple[float, ...]:
        reach = max(1, round(WINDOW * len(self.losses)))
        windows = (self.losses[max(0, index - reach):index + reach + 1]
                   for index in range(len(self.losses)))
        return tuple(sum(window) / len(window) for window in windows)

    @property
    def begin(self) -> float:
        """The rate from which on the loss falls."""
        start, enough = self._smoothed.index(self._greatest), self._above_least(1 - FALLING)
        return next(self.rates[index] for index in range(start, self._least + 1)
                    if self._smoothed[index] <= enough)

    @property
    def lowest(self) -> float:
        """The lowest rate worth a trial: at lower ones a network learns, but slowly."""
        return min(self.steepest, self.highest / LEAST_SPAN)

    @property
    def highest(self) -> float:
        """The highest rate worth a trial: beyond it the loss rises again."""
        little = self._above_least(RISING)
        beyond = range(self._least + 1, len(self.rates))
        risen = next((index for index in beyond if self._smoothed[index] > little),
                     len(self.rates))
        return self.rates[risen - 1]

    @property
    def middle(self) -> float:
        """The rate in the middle of those worth a trial, by their logarithms."""
        return math.sqrt(self.lowest * self.highest)

    @property
    def steepest(self) -> float:
        """The rate at which the loss falls fastest, by the logarithm of the rate."""
        smoothed, logs = self._smoothed, [math.log(rate) for rate in self.rates]
        slopes = [(smoothed[index + 1] - smoothed[index - 1]) / (logs[index + 1] - logs[index - 1])
                  for index in range(1, max(2, self._least))]
        return self.rates[1 + slopes.index(min(slopes))]

    @property
    def divergence(self) -> float:
        """The first rate at which the loss has diverged; infinite where none did."""
        return next((rate for count, rate in enumerate(self.rates, 1)
                     if is_divergent(self.losses[:count])), math.inf)

    @property
    def falls(self) -> bool:
        """Whether the loss fell at any rate; where it did not, the curve tells nothing."""
        return self._least >= 2

    @property
    def _least(self) -> int:
        return self._smoothed.index(min(self._smoothed))

    @property
    def _greatest(self) -> float:
        """The greatest loss before the least one."""
        return max(self._smoothed[:self._least + 1])

    def _above_least(self, share: float) -> float:
        """Return the loss that is above the least one by a share of the fall."""
        least = self._smoothed[self._least]
        return least + share * (self._greatest - least)


def is_divergent(losses: Sequence[float]) -> bool:
    """Tell whether the trailing mean of losses is far above the least it was before."""
    mean, least, unbiased = 0.0, math.inf, 0.0
    for count, loss in enumerate(losses, 1):
        mean = TRAILING * mean + (1 - TRAILING) * loss
        unbiased = mean / (1 - TRAILING**count)
        least = min(least, unbiased)
    return not unbiased <= DIVERGED * least


def write_curve(file: Path, curve: RateCurve) -> None:
    """Write a curve as a table, a line a step, whole or not at all."""
    with replacing(file) as beside, beside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow((*_FIELDS, "smoothed"))
        for line in zip(curve.rates, curve.losses, curve.smoothed):
            writer.writerow([f"{value:.9g}" for value in line])


def read_curve(file: Path) -> RateCurve:
    """Read what `write_curve` wrote; raise RunError for anything else."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [tuple(float(row[name]) for name in _FIELDS) for row in csv.DictReader(lines)]
        return RateCurve(*zip(*rows))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{file} is not the range test that `ssdreg tune` wrote: delete it, and "
                       f"the test is made anew") from error
