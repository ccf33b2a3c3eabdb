"""Anchors (prior boxes) of one feature level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssdreg.mx import mx


def prior(feature: mx.sym.Symbol, sizes: Sequence[float], ratios: Sequence[float],
          step: tuple[float, float] | None = None, *, name: str) -> mx.sym.Symbol:
    """Place the anchors of one level: `feature` (B, K, h, w) to (1, h * w * A, 4) float32.

    A is ``len(sizes) + len(ratios) - 1``: every size at the first ratio, then the first size at
    every further ratio. Rows are x1, y1, x2, y2 as shares of the image, not clipped, cell by cell
    (rows first), anchor by anchor. A size s at ratio r is ``s / sqrt(r)`` of the image high and
    ``s * sqrt(r) * h / w`` of the image wide: an anchor of ratio 1 is as many cells across as
    down, which is a square in pixels where the map has the image's proportions. `step` is the
    distance (down, across) of centres as shares of the image, one cell when None; centres lie in
    the middle of their step.
    """
    from ssdreg.mx import mx
    return mx.sym.contrib.MultiBoxPrior(
        feature, sizes=tuple(sizes), ratios=tuple(ratios), clip=False,
        steps=tuple(step) if step else (-1.0, -1.0), name=name)
