"""The SSD head (Liu et al., 2016): plain 3x3 convolutions.

Parameter names are those of MXNet's SSD example, so that its checkpoints load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg.detector.plan import Plan
from ssdreg.heads import multibox
from ssdreg.registry.head import Predictions

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: A 1x1 convolution in front of an extra level halves the channels, but not below this.
MIN_CHANNELS = 128


def predict(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict on every level with one 3x3 convolution for classes and one for boxes."""
    return multibox.predict(multibox.feature_levels(backbone, plan, extra), plan, predictor)


def extra(feature: mx.sym.Symbol, name: str, channels: int, stride: int,
          pad: int) -> mx.sym.Symbol:
    """Make a level: a 1x1 convolution to half the channels, a 3x3 one, ReLU behind both."""
    half = max(MIN_CHANNELS, channels // 2)
    feature = _conv_relu(feature, f"{name}_conv_1x1", half, kernel=(1, 1))
    return _conv_relu(feature, f"{name}_conv_3x3", channels, kernel=(3, 3),
                      stride=(stride, stride), pad=(pad, pad))


def _conv_relu(x: mx.sym.Symbol, name: str, channels: int,
               **shape: tuple[int, int]) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=channels, name=f"{name}_conv", **shape)
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")


def predictor(feature: mx.sym.Symbol, name: str, outputs: int, channels: int,
              bias: mx.init.Initializer) -> mx.sym.Symbol:
    """Predict `outputs` values a cell with a 3x3 convolution; its bias learns twice as fast."""
    from ssdreg.mx import mx
    biases = mx.sym.Variable(f"{name}_bias", init=bias, lr_mult=2.0)
    return mx.sym.Convolution(feature, bias=biases, num_filter=outputs, kernel=(3, 3),
                              pad=(1, 1), name=name)
