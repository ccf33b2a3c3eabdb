"""The networks of MXNet's Gluon model zoo, and of GluonCV, as backbones of ssdreg."""

from __future__ import annotations

from collections.abc import Iterator

import ssdreg
from ssdreg_gluon import declaring, detectors


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterator[ssdreg.Backbone]:
    """Yield every network of the zoos that are installed and whose family is known."""
    yield from declaring.backbones()


@ssdreg.hookimpl
def ssdreg_weights() -> Iterator[ssdreg.Weights]:
    """Yield the ImageNet weights that the zoos' own stores hold for these networks."""
    yield from declaring.weights()


@ssdreg.hookimpl
def ssdreg_detectors() -> Iterator[ssdreg.DetectorWeights]:
    """Yield GluonCV's SSD presets that have weights."""
    yield from detectors.detectors()
