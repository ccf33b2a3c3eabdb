"""torchvision's SSD300 and SSDLite for ssdreg, and the weights published for them."""

from __future__ import annotations

from collections.abc import Iterable

import ssdreg
from ssdreg_torchvision.declaring import DETECTORS, HEADS


@ssdreg.hookimpl
def ssdreg_heads() -> Iterable[ssdreg.Head]:
    """Yield torchvision's heads."""
    return HEADS


@ssdreg.hookimpl
def ssdreg_detectors() -> Iterable[ssdreg.DetectorWeights]:
    """Yield torchvision's detectors."""
    return DETECTORS
