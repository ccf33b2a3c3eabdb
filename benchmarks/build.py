"""How long `ssdreg.build` takes, verification included, beside the same detector's bare symbol.

    python benchmarks/build.py                                   # every registered backbone
    python benchmarks/build.py --backbones resnet18,vgg16_reduced --rounds 20

The bare symbol is `Backbone.symbol()` with the head `ssd` put on it by a plan that was made
beforehand: nothing is read, planned or verified. `ssdreg.build` starts from the declaration, and
remembers nothing of the round before. Each is timed once a round, in turns; a figure is the median
of its rounds, in milliseconds of the processor, so that other work on the machine does not count,
and a ratio the median of the rounds' ratios. Prints a Markdown table and the worst ratio; the exit
status is 1 when that is above 2.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import attrs

import ssdreg
from ssdreg.graph.finding import forget
from ssdreg.registry.backbone import Backbone

HEAD = "ssd"
MOST = 2.0


@attrs.frozen
class Timed:
    """One backbone's medians in milliseconds, and how many times the bare symbol's a build is."""

    name: str
    symbol: float
    bare: float
    build: float
    ratio: float


def milliseconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call, the garbage of the one before it collected."""
    gc.collect()
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1e3


def timed(backbone: Backbone, rounds: int) -> Timed:
    """Time one backbone, in turns; the round that warms the caches up does not count."""
    plan = ssdreg.plan(backbone, head=HEAD)

    def bare() -> object:
        return ssdreg.assemble(backbone.symbol(), plan, head=HEAD)

    def build() -> object:
        return ssdreg.build(backbone, head=HEAD)

    taken = []
    for _ in range(rounds + 1):
        forget()
        taken.append((milliseconds(backbone.symbol), milliseconds(bare), milliseconds(build)))
    columns = list(zip(*taken[1:]))
    return Timed(backbone.name, *map(statistics.median, columns),
                 ratio=statistics.median(whole / part for _, part, whole in taken[1:]))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--backbones", metavar="A,B", help="only these, by name")
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    options = parser.parse_args()
    backbones = ([ssdreg.get_backbone(name) for name in options.backbones.split(",")]
                 if options.backbones else ssdreg.list_backbones())
    warnings.simplefilter("ignore", ssdreg.DetectorWarning)
    print("| backbone | its symbol | with its head | ssdreg.build | ratio |")
    print("| --- | --- | --- | --- | --- |")
    found = []
    for backbone in backbones:
        each = timed(backbone, options.rounds)
        found.append(each)
        print(f"| {each.name} | {each.symbol:.1f} | {each.bare:.1f} | {each.build:.1f} "
              f"| {each.ratio:.2f} |", flush=True)
    worst = max(found, key=lambda each: each.ratio)
    print(f"\nMilliseconds. The ratio of ssdreg.build to the bare symbol with its head is "
          f"{statistics.median(each.ratio for each in found):.2f} in the median, "
          f"{worst.ratio:.2f} at worst, for {worst.name}; all builds together take "
          f"{sum(each.build for each in found) / sum(each.bare for each in found):.2f} times "
          f"what all bare symbols take, "
          f"{sum(each.build for each in found) / sum(each.symbol for each in found):.2f} times "
          f"those without a head.")
    return int(worst.ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
