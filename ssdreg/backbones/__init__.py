"""The backbones that come with ssdreg: a plug-in like any other."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.backbones import inceptionv3, resnet, vgg16_reduced
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.hookspecs import hookimpl


@hookimpl
def ssdreg_backbones() -> Iterator[Backbone]:
    """Yield VGG-16, Inception v3 and the pre-activation ResNets."""
    yield vgg16_reduced.BACKBONE
    yield inceptionv3.BACKBONE
    yield from resnet.BACKBONES
