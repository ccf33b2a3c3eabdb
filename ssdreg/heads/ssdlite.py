"""The SSDLite head (Sandler et al., MobileNetV2, 2018): depthwise separable convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssdreg.detector.plan import Plan
from ssdreg.heads import multibox
from ssdreg.registry.head import Predictions

if TYPE_CHECKING:
    from ssdreg.mx import mx


def predict(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict on every level with depthwise separable convolutions."""
    return multibox.predict(multibox.feature_levels(backbone, plan, extra), plan, predictor)


def extra(feature: mx.sym.Symbol, name: str, channels: int, stride: int,
          pad: int) -> mx.sym.Symbol:
    """Make a level: a 1x1 convolution to half the channels, a depthwise 3x3, a 1x1."""
    half = channels // 2
    feature = _conv_norm(feature, f"{name}_conv_1x1", half, kernel=(1, 1))
    feature = _depthwise(feature, f"{name}_conv_3x3_dw", half, stride, pad)
    return _conv_norm(feature, f"{name}_conv_3x3", channels, kernel=(1, 1))


def predictor(feature: mx.sym.Symbol, name: str, outputs: int, channels: int,
              bias: mx.init.Initializer) -> mx.sym.Symbol:
    """Predict `outputs` values a cell: a depthwise 3x3, then a linear 1x1 with bias."""
    from ssdreg.mx import mx
    feature = _depthwise(feature, f"{name}_dw", channels, 1, 1)
    biases = mx.sym.Variable(f"{name}_bias", init=bias, lr_mult=2.0)
    return mx.sym.Convolution(feature, bias=biases, num_filter=outputs, kernel=(1, 1), name=name)


def _depthwise(x: mx.sym.Symbol, name: str, channels: int, stride: int,
               pad: int) -> mx.sym.Symbol:
    return _conv_norm(x, name, channels, kernel=(3, 3), stride=(stride, stride), pad=(pad, pad),
                      num_group=channels)


def _conv_norm(x: mx.sym.Symbol, name: str, channels: int, **settings: Any) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=channels, no_bias=True, name=f"{name}_conv", **settings)
    x = mx.sym.BatchNorm(x, fix_gamma=False, name=f"{name}_bn")
    return mx.sym.clip(x, a_min=0.0, a_max=6.0, name=f"{name}_relu")
