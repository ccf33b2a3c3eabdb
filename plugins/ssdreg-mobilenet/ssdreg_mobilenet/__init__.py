"""MobileNet v1, v2 and v3 as backbones of ssdreg."""

from __future__ import annotations

from collections.abc import Iterator

import ssdreg
from ssdreg_mobilenet import v1, v2, v3


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterator[ssdreg.Backbone]:
    """Yield the networks, the oldest first."""
    yield from v1.BACKBONES
    yield from v2.BACKBONES
    yield from v3.BACKBONES
