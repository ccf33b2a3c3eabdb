"""EfficientNet-Lite 0 to 2 as backbones of ssdreg, with their ImageNet weights."""

from __future__ import annotations

from collections.abc import Iterator

import ssdreg
from ssdreg_efficientnet import lite, weights


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterator[ssdreg.Backbone]:
    """Yield the networks."""
    yield from lite.BACKBONES


@ssdreg.hookimpl
def ssdreg_weights() -> Iterator[ssdreg.Weights]:
    """Yield where each network's ImageNet weights come from."""
    yield from weights.WEIGHTS
