"""Where the stages of a chain of blocks end."""

from __future__ import annotations

from collections.abc import Iterable

#: Index of the stem, which the blocks are counted behind.
STEM = -1


def stage_ends(strides: Iterable[int], entering: int = 2) -> tuple[tuple[int, int], ...]:
    """Return (stride, index of the last block at it) for every resolution, the finest first.

    `strides` are the blocks' own, in order; `entering` is the stride of the map that the stem
    makes. Where the first block already halves it, the stem ends a stage: its index is `STEM`.
    """
    ends, stride = {entering: STEM}, entering
    for index, step in enumerate(strides):
        stride *= step
        ends[stride] = index
    return tuple(ends.items())
