"""The predictors: one small network for scores and one for boxes, the same on every level.

Lin et al., Focal Loss for Dense Object Detection (RetinaNet), 2017, section 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.detector.plan import Plan
from ssdreg.heads import multibox
from ssdreg.registry.head import Predictions
from ssdreg_fpn.pyramid import pyramid

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The initial probability of an object of each class: pi of section 4.1.
PRIOR = 0.01
#: Standard deviation of the last convolution's initial weights, so small that scores start at the
#: prior.
SPREAD = 0.01


@frozen(eq=False)
class _SharedConv:
    """A 3x3 convolution whose parameters every level uses."""

    name: str
    outputs: int
    weight: mx.sym.Symbol
    bias: mx.sym.Symbol

    def apply(self, feature: mx.sym.Symbol, level: str) -> mx.sym.Symbol:
        """Return the convolution of one level's feature."""
        from ssdreg.mx import mx
        return mx.sym.Convolution(feature, weight=self.weight, bias=self.bias, kernel=(3, 3),
                                  num_filter=self.outputs, pad=(1, 1), name=f"{level}_{self.name}")


def fpn(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict with four convolutions and a last one, as in the paper; see `predict`."""
    return predict(backbone, plan, depth=4)


def fpn_small(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict with two convolutions and a last one; see `predict`."""
    return predict(backbone, plan, depth=2)


def predict(backbone: mx.sym.Symbol, plan: Plan, depth: int) -> Predictions:
    """Predict on every level of the pyramid with the same `depth` convolutions and a last one.

    For C classes, `cls_pred` (B, C, N) are logits of independent classes; an anchor of none of them
    is background.
    """
    from ssdreg.mx import mx
    channels, cells = plan.levels[0].channels, plan.levels[0].anchors_per_cell
    zero, rare = mx.init.Constant(0.0), mx.init.Constant(-math.log((1 - PRIOR) / PRIOR))
    scores = _subnet("fpn_cls", depth, channels, cells * plan.num_classes, rare)
    offsets = _subnet("fpn_loc", depth, channels, cells * 4, zero)
    levels = []
    for index, feature in enumerate(pyramid(backbone, plan)):
        name = f"fpn_{index}"
        levels.append(multibox.LevelPredictions(name, feature, _apply_subnet(scores, feature, name),
                                                _apply_subnet(offsets, feature, name)))
    return multibox.join(levels, plan, plan.num_classes)


def _subnet(name: str, depth: int, channels: int, outputs: int,
            bias: mx.init.Initializer) -> list[_SharedConv]:
    """Return a subnet's convolutions; `bias` is the initializer of the last one's biases."""
    from ssdreg.mx import mx

    def shared(name: str, outputs: int, **initializers: mx.init.Initializer) -> _SharedConv:
        weight = mx.sym.Variable(f"{name}_weight", init=initializers.get("weight"))
        return _SharedConv(name, outputs, weight,
                           mx.sym.Variable(f"{name}_bias", init=initializers.get("bias")))

    return [*(shared(f"{name}_conv{index}", channels) for index in range(depth)),
            shared(f"{name}_pred", outputs, weight=mx.init.Normal(SPREAD), bias=bias)]


def _apply_subnet(subnet: list[_SharedConv], feature: mx.sym.Symbol, level: str) -> mx.sym.Symbol:
    """Return a subnet's output for one level's feature, with ReLU between its convolutions."""
    from ssdreg.mx import mx
    *inner, last = subnet
    for shared in inner:
        feature = mx.sym.Activation(shared.apply(feature, level), act_type="relu",
                                    name=f"{level}_{shared.name}_relu")
    return last.apply(feature, level)
