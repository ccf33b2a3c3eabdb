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

#: How much of the mean before it each smoothed loss keeps.
SMOOTHING = 0.9
#: The loss has diverged where it is so many times the least one.
DIVERGED = 4.0
#: The share of its whole fall after which the loss counts as falling.
FALLING = 0.05
#: The highest rate to try is at least so many times the lowest: a curve of few steps is noisy.
LEAST_SPAN = 10.0
_FIELDS = ("rate", "loss")


@frozen
class RateCurve:
    """The losses of a few steps with ever higher learning rates, a step each.

    A loss is that of training, classification and boxes together; one that is not finite ends the
    curve. Raises ValueError where there are fewer than three steps.
    """

    rates: tuple[float, ...] = field(converter=as_tuple, repr=False)
    losses: tuple[float, ...] = field(converter=as_tuple, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.rates) != len(self.losses) or len(self.rates) < 3:
            raise ValueError("a range test needs a rate and a loss for each of three or more steps")

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The exponential mean of the losses, without its bias to the first ones."""
        return smooth(self.losses)

    @property
    def lowest(self) -> float:
        """The rate from which on the loss falls."""
        smoothed, least = self.smoothed, self._least
        highest = max(smoothed[:least + 1])
        begins = highest - FALLING * (highest - smoothed[least])
        start = smoothed.index(highest)
        first = next(index for index in range(start, least + 1)
                     if smoothed[index] <= begins or index == least)
        return min(self.rates[first], self.highest / LEAST_SPAN)

    @property
    def highest(self) -> float:
        """The rate at which the loss is least: higher ones gain nothing more."""
        return self.rates[self._least]

    @property
    def steepest(self) -> float:
        """The rate at which the loss falls fastest, by the logarithm of the rate."""
        smoothed, logs = self.smoothed, [math.log(rate) for rate in self.rates]
        slopes = [(smoothed[index + 1] - smoothed[index - 1]) / (logs[index + 1] - logs[index - 1])
                  for index in range(1, max(2, self._least))]
        return self.rates[1 + slopes.index(min(slopes))]

    @property
    def divergence(self) -> float:
        """The first rate at which the loss has diverged; infinite where none did."""
        smoothed = self.smoothed
        for index in range(1, len(smoothed)):
            if is_divergent(smoothed[:index + 1]):
                return self.rates[index]
        return math.inf

    @property
    def falls(self) -> bool:
        """Whether the loss fell at any rate; where it did not, the curve tells nothing."""
        return self._least >= 2

    @property
    def _least(self) -> int:
        smoothed = [loss if math.isfinite(loss) else math.inf for loss in self.smoothed]
        # a curve that falls to its end has its least loss there, where nothing was tried beyond
        return smoothed.index(min(smoothed))


def smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """Return the exponential mean of losses up to each of them."""
    mean, smoothed = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**count))
    return tuple(smoothed)


def is_divergent(smoothed: Sequence[float]) -> bool:
    """Tell whether the last of these losses is far above the least one, or no number."""
    return not math.isfinite(smoothed[-1]) or smoothed[-1] > DIVERGED * min(smoothed)


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
