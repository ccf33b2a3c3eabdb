"""A feature pyramid with shared predictors and focal loss (RetinaNet) as a head of ssdreg."""

from __future__ import annotations

from collections.abc import Iterator

import ssdreg

PAPER = "https://arxiv.org/abs/1708.02002"
#: Sizes of a level's anchors, in its cells: 4, 4 * 2**(1/3) and 4 * 2**(2/3).
CELLS = tuple(4 * 2 ** (third / 3) for third in range(3))
RATIOS = (1.0, 2.0, 0.5)


def defaults(channels: int) -> ssdreg.PlanDefaults:
    """Return the plan's defaults for a pyramid of so many channels: P3 to P7 where they fit."""
    return ssdreg.PlanDefaults(least_stride=8, extra_levels=2, channels=channels, cells=CELLS,
                               ratios=RATIOS, uniform=True)


@ssdreg.hookimpl
def ssdreg_heads() -> Iterator[ssdreg.Head]:
    """Yield the head of the paper, and one for small networks."""
    for name, aliases, channels, depth in (("fpn", ("retinanet",), 256, "four"),
                                           ("fpn_small", (), 64, "two")):
        yield ssdreg.Head(
            name=name, aliases=aliases, paper=PAPER, losses=("focal",),
            summary=f"feature pyramid of {channels} channels, one predictor of {depth} "
                    f"convolutions for all levels, focal loss",
            predict=f"ssdreg_fpn.predictors:{name}", train="ssdreg_fpn.sigmoid:train",
            detect="ssdreg_fpn.sigmoid:detect", defaults=defaults(channels))
