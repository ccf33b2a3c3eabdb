"""plainnet as a backbone of ssdreg: a small network to start from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import ssdreg

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Channels and units of each stage. The first unit of a stage halves the resolution.
STAGES = ((16, 1), (32, 1), (64, 2), (128, 2), (256, 2))


def symbol(num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to scores (B, num_classes)."""
    from ssdreg.mx import mx  # here, so that listing backbones does not wait for MXNet
    x = mx.sym.Variable("data")
    for stage, (channels, units) in enumerate(STAGES, start=1):
        for unit in range(1, units + 1):
            x = _unit(x, _name(stage, unit), channels, stride=2 if unit == 1 else 1)
    x = mx.sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool")
    return mx.sym.FullyConnected(mx.sym.Flatten(x, name="flatten"), num_hidden=num_classes,
                                 name="classifier")


def taps() -> Iterator[ssdreg.Tap]:
    """Yield the end of every stage, counted from the table, so that both change together."""
    for stage, (channels, units) in enumerate(STAGES, start=1):
        yield ssdreg.Tap(stage, 2**stage, channels, f"{_name(stage, units)}_relu")


@ssdreg.hookimpl
def ssdreg_backbones() -> Iterator[ssdreg.Backbone]:
    """Yield the backbone; `build` is a text, so that it is imported when it is needed."""
    yield ssdreg.Backbone(
        name="plainnet", family="plainnet", depth=sum(units for _, units in STAGES) + 1,
        build="ssdreg_plainnet:symbol", taps=tuple(taps()), tap_strides=(16, 32),
        paper="https://example.org/the-paper-that-describes-plainnet")


def _name(stage: int, unit: int) -> str:
    return f"stage{stage}_unit{unit}"


def _unit(x: mx.sym.Symbol, name: str, channels: int, stride: int) -> mx.sym.Symbol:
    """Convolve 3x3, normalise, activate."""
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=channels, kernel=(3, 3), stride=(stride, stride),
                           pad=(1, 1), no_bias=True, name=f"{name}_conv")
    x = mx.sym.BatchNorm(x, fix_gamma=False, name=f"{name}_bn")
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")
