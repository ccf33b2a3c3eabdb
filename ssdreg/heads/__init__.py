"""The heads that come with ssdreg: a plug-in like any other."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.registry.head import Head
from ssdreg.registry.hookspecs import hookimpl


@hookimpl
def ssdreg_heads() -> Iterator[Head]:
    """Yield SSD and its depthwise separable form."""
    yield Head(name="ssd", predict="ssdreg.heads.ssd:predict",
               summary="3x3 convolutions predict classes and boxes on every level",
               paper="https://arxiv.org/abs/1512.02325")
    yield Head(name="ssdlite", predict="ssdreg.heads.ssdlite:predict",
               summary="depthwise separable convolutions make levels and predict",
               paper="https://arxiv.org/abs/1801.04381")
