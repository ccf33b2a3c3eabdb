"""DenseNets as backbones of ssdreg."""

from __future__ import annotations

from collections.abc import Iterator

import ssdreg
from ssdreg_densenet import densenet


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterator[ssdreg.Backbone]:
    """Yield the networks, the smallest first."""
    yield from densenet.BACKBONES
