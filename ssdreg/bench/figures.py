"""The figures of a measurement: rows of medians, spread and ratios, and missing configurations."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from ssdreg.bench.measure import Times

#: Of what ``--json`` prints.
FORMAT = 1


@frozen
class Configuration:
    """What is measured: an engine, as `backends` calls it, with its precision."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        """Both, as tables have it."""
        return f"{self.backend} {self.precision}"


@frozen
class Spread:
    """The median of some seconds, and the quartiles around it."""

    median: float
    lower: float
    upper: float


def spread(seconds: Sequence[float]) -> Spread:
    """Summarise at least one number."""
    if len(seconds) == 1:
        return Spread(seconds[0], seconds[0], seconds[0])
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(median, lower, upper)


def ratio(times: Times, base: Times) -> float:
    """Return how many times as long one takes as the other: the median of the rounds' ratios."""
    return statistics.median(statistics.median(one) / statistics.median(other)
                             for one, other in zip(times.seconds, base.seconds))


@frozen
class Peak:
    """The most that an engine reached in multiplying two square matrices, in GFLOP/s."""

    precision: str
    engine: str
    gflops: float


@frozen
class Row:
    """One configuration at one batch size.

    `seconds` are those of a batch; `ratio` is to the first row of the same batch size; `gflops`
    counts two operations for each multiply-add, and is None where their number is not known;
    `share` is that of the peak of the row's precision, None where no peak was measured.
    """

    configuration: Configuration
    batch: int
    seconds: Spread
    samples: int
    images_per_second: float
    ratio: float
    gflops: float | None
    share: float | None


@frozen
class Missing:
    """A configuration without a row, and why."""

    configuration: Configuration
    why: str
    batch: int | None = None


@frozen
class Workload:
    """The network that is measured; `multiply_adds` are those of one image."""

    backbone: str
    head: str
    data_shape: tuple[int, int]
    classes: int
    anchors: int
    multiply_adds: int

    @property
    def title(self) -> str:
        """The network in a few words."""
        height, width = self.data_shape
        return f"{self.backbone}, {self.head} at {height}x{width}"


@frozen
class Machine:
    """Where it was measured: the processor's name, real cores, threads of engines, versions."""

    processor: str
    cores: int
    threads: int
    versions: Mapping[str, str]


@frozen
class Post:
    """What post-processing takes, in seconds: softmax, decoding and suppression.

    The `whole`, the `network` up to its predictions and the `rest` by itself were measured in
    turns. `share` is the rest's share of the whole, `difference` what whole and network differ
    by, as a share of the whole; both are medians over the rounds.
    """

    configuration: Configuration
    batch: int
    whole: Spread
    network: Spread
    rest: Spread
    share: float
    difference: float


@frozen
class Figures:
    """All that was measured in one run."""

    workload: Workload
    machine: Machine
    rounds: int
    timed: int
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...] = ()
    peaks: tuple[Peak, ...] = ()
    post: tuple[Post, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; times are in seconds."""
        return {"format": FORMAT, **attrs.asdict(self)}


def make_rows(configurations: Sequence[Configuration], times: Mapping[str, Times], batch: int,
              multiply_adds: int, peaks: Sequence[Peak]) -> tuple[Row, ...]:
    """Make the rows of one batch size, in the order of the configurations that have times."""
    best = {peak.precision: peak.gflops for peak in peaks}
    present = [configuration for configuration in configurations if configuration.name in times]
    rows = []
    for configuration in present:
        timed, first = times[configuration.name], times[present[0].name]
        samples = [second for turn in timed.seconds for second in turn]
        taken = spread(samples)
        gflops = 2 * multiply_adds * batch / taken.median / 1e9
        peak = best.get(configuration.precision)
        rows.append(Row(configuration, batch, taken, len(samples), batch / taken.median,
                        ratio(timed, first), gflops, None if peak is None else gflops / peak))
    return tuple(rows)


def make_post(configuration: Configuration, whole: Times, network: Times, rest: Times,
              batch: int) -> Post:
    """Hold the parts of a detector against the whole, round by round."""
    def flat(times: Times) -> Spread:
        return spread([second for turn in times.seconds for second in turn])

    return Post(configuration, batch, flat(whole), flat(network), flat(rest), ratio(rest, whole),
                1 - ratio(network, whole))
