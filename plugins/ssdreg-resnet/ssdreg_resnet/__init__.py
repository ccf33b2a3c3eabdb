"""Post-activation ResNet and ResNeXt for ssdreg, and the weights published for them."""

from __future__ import annotations

from collections.abc import Iterable

import ssdreg
from ssdreg_resnet.published import WEIGHTS
from ssdreg_resnet.resnet import BACKBONES

__all__ = ["BACKBONES", "WEIGHTS"]


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterable[ssdreg.Backbone]:
    """Yield the networks."""
    return BACKBONES


@ssdreg.hookimpl
def ssdreg_weights() -> Iterable[ssdreg.Weights]:
    """Yield torchvision's and timm's weights for them."""
    return WEIGHTS
