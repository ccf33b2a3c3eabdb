"""Anchor sizes and ratios per feature level.

Both schemes follow Liu et al., SSD, 2016, section 2.2, as the authors' own code computes it: the
levels behind the first divide the range from a smallest scale to 0.9 of the image evenly, in
whole percent; the first level gets half of the smallest scale; and each level has, besides its
own scale, the geometric mean of it and the next one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ssdreg.errors import PlanError

Sizes = tuple[tuple[float, ...], ...]

MAX_PERCENT = 90
#: SSD300 starts at 20 %, SSD512, with its seventh level, at 15 %.
MIN_PERCENT, MIN_PERCENT_DEEP, DEEP = 20, 15, 7

FEW_RATIOS = (1.0, 2.0, 0.5)
MANY_RATIOS = (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)


def paper_sizes(levels: int) -> Sizes:
    """Return the paper's sizes: per level its scale and the geometric mean with the next one's.

    Sizes are shares of the image's height, 0..1.
    """
    start = MIN_PERCENT_DEEP if levels >= DEEP else MIN_PERCENT
    step = (MAX_PERCENT - start) // max(1, levels - 2)
    percents = [start // 2, *(start + step * index for index in range(levels))]
    if levels == 1:
        percents = [start, MAX_PERCENT]
    return tuple((low / 100, math.sqrt(low * high) / 100)
                 for low, high in zip(percents[:levels], percents[1:]))


def example_sizes(levels: int) -> Sizes:
    """Return the table of MXNet's SSD example: the paper's sizes as it rounds them.

    Three decimals, four from seven levels on.
    """
    digits = 4 if levels >= DEEP else 3
    return tuple((low, round(high, digits)) for low, high in paper_sizes(levels))


#: The schemes by name; `DEFAULT_SIZES` is what a plan takes when neither its head nor anybody
#: else says anything.
SIZES: dict[str, Callable[[int], Sizes]] = {"example": example_sizes, "paper": paper_sizes}
DEFAULT_SIZES = "example"
#: Not a scheme, but what the plan's head has for its own.
HEAD_SIZES = "head"


def named_sizes(name: str, levels: int) -> Sizes:
    """Return the sizes of the scheme `name`; raise PlanError listing the schemes there are.

    `HEAD_SIZES` are here those of a head that says nothing.
    """
    if name == HEAD_SIZES:
        name = DEFAULT_SIZES
    if name not in SIZES:
        raise PlanError(f"sizes={name!r} is no scheme: there are {', '.join(sorted(SIZES))} and "
                        f"{HEAD_SIZES} (the head's own), or give a tuple of sizes per level")
    return SIZES[name](levels)


def cell_sizes(cells: Sequence[float], heights: Sequence[int]) -> Sizes:
    """Return sizes of so many cells on levels of `heights` cells, as shares of the image's height.

    Where the smallest would be higher than the image, it is as high, and the others are larger in
    the same proportion.
    """
    return tuple(tuple(size * min(1 / height, 1 / min(cells)) for size in cells)
                 for height in heights)


def default_ratios(levels: int) -> tuple[tuple[float, ...], ...]:
    """Return aspect ratios (width / height): few on the first and the last two levels."""
    few = {0, levels - 2, levels - 1}
    return tuple(FEW_RATIOS if level in few else MANY_RATIOS for level in range(levels))
