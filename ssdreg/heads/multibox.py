"""The common parts of SSD heads: feature levels, predictions, training outputs, detections."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg import ops
from ssdreg.detector.overrides import UNUSED, Step
from ssdreg.detector.plan import Level, Plan
from ssdreg.errors import PlanError
from ssdreg.registry.head import Predictions

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Makes an extra level: (feature, name, channels, stride, pad) to a symbol.
ExtraLayer = Callable[["mx.sym.Symbol", str, int, int, int], "mx.sym.Symbol"]
#: Predicts on a level: (feature, name, outputs, channels of the feature, initializer of the biases)
#: to (B, outputs, h, w).
Predictor = Callable[["mx.sym.Symbol", str, int, int, "mx.init.Initializer"], "mx.sym.Symbol"]
#: The initial probability of an object with the focal loss (Lin et al., 2017, section 4.1).
OBJECT_PRIOR = 0.01


def feature_levels(backbone: mx.sym.Symbol, plan: Plan, extra: ExtraLayer) -> list[mx.sym.Symbol]:
    """Return the features (B, K, h, w) of all levels: the plan's taps, then extra levels."""
    internals = backbone.get_internals()
    features: list[mx.sym.Symbol] = []
    for index, layer in enumerate(plan.from_layers):
        if layer:
            features.append(_project(internals[f"{layer}_output"], plan, index))
        else:
            features.append(extra(features[-1], f"multi_feat_{index}", plan.num_filters[index],
                                  plan.strides[index], plan.pads[index]))
    return features


def _project(feature: mx.sym.Symbol, plan: Plan, level: int) -> mx.sym.Symbol:
    """Return a tap's feature behind the plan's projection, where it has one."""
    from ssdreg.mx import mx
    if not plan.projections or plan.projections[level] == UNUSED:
        return feature
    name = f"{feature.name}_projection"
    feature = mx.sym.Convolution(feature, num_filter=plan.projections[level], kernel=(1, 1),
                                 no_bias=True, name=f"{name}_conv")
    feature = mx.sym.BatchNorm(feature, fix_gamma=False, name=f"{name}_bn")
    return mx.sym.Activation(feature, act_type="relu", name=f"{name}_relu")


@frozen
class LevelPredictions:
    """The predictions of one level, for R scores an anchor and A anchors a cell.

    `scores` are (B, A * R, h, w), `offsets` (B, A * 4, h, w), both anchor by anchor; `feature`
    (B, K, h, w) is what they were predicted from, `name` the level's name.
    """

    name: str
    feature: mx.sym.Symbol
    scores: mx.sym.Symbol
    offsets: mx.sym.Symbol


def predict(features: list[mx.sym.Symbol], plan: Plan, predictor: Predictor) -> Predictions:
    """Predict class scores and offsets on every level, and concatenate them."""
    from ssdreg.mx import mx
    levels = []
    for index, (feature, level) in enumerate(zip(features, plan.levels)):
        name = feature.name
        if plan.normalizations[index] != UNUSED:
            feature = _l2_normalize(feature, level, plan.normalizations[index])
        cells = level.anchors_per_cell
        offsets = predictor(feature, f"{name}_loc_pred_conv", cells * 4, level.channels,
                            mx.init.Constant(0.0))
        scores = predictor(feature, f"{name}_cls_pred_conv", cells * (plan.num_classes + 1),
                           level.channels, _class_bias(plan, cells))
        levels.append(LevelPredictions(name, feature, scores, offsets))
    return join(levels, plan, plan.num_classes + 1)


def _class_bias(plan: Plan, cells: int) -> mx.init.Initializer:
    """Return the initializer of the biases of a level's class scores.

    Without mining nearly all anchors are background, and with equal initial probabilities they
    dominate the loss: so with the focal loss objects start at the probability `OBJECT_PRIOR`, all
    classes together, as in Lin et al., Focal Loss for Dense Object Detection, 2017, section 4.1.
    """
    from ssdreg.mx import mx
    if plan.loss != "focal":
        return mx.init.Constant(0.0)
    background = math.log(plan.num_classes * (1 - OBJECT_PRIOR) / OBJECT_PRIOR)
    return mx.init.Constant(np.array([background, *[0.0] * plan.num_classes] * cells))


def join(levels: Iterable[LevelPredictions], plan: Plan, rows: int) -> Predictions:
    """Concatenate the predictions of all levels, cell by cell, with the anchors.

    `rows` is the number of scores an anchor has: `cls_pred` comes out as (B, rows, N).
    """
    from ssdreg.mx import mx
    sym = mx.sym
    offsets, scores, anchors = [], [], []
    for index, level in enumerate(levels):
        offsets.append(_by_cell(level.offsets, f"{level.name}_loc_pred"))
        scores.append(_by_cell(level.scores, f"{level.name}_cls_pred"))
        anchors.append(sym.Flatten(ops.prior(
            level.feature, plan.sizes[index], plan.ratios[index],
            _step_pair(plan.steps[index]) if plan.steps else None, name=f"{level.name}_anchors"),
            name=f"{level.name}_anchors_flatten"))
    cls_pred = sym.Reshape(sym.Concat(*scores, dim=1, name="multibox_cls_pred_concat"),
                           shape=(0, -1, rows), name="multibox_cls_pred_reshape")
    boxes = sym.Concat(*anchors, dim=1, name="multibox_anchors_concat")
    return Predictions(
        cls_pred=sym.transpose(cls_pred, axes=(0, 2, 1), name="multibox_cls_pred"),
        loc_pred=sym.Concat(*offsets, dim=1, name="multibox_loc_pred"),
        anchors=sym.Reshape(boxes, shape=(0, -1, 4), name="multibox_anchors"))


def _step_pair(step: Step) -> tuple[float, float]:
    return step if isinstance(step, tuple) else (step, step)


def _l2_normalize(feature: mx.sym.Symbol, level: Level, scale: float) -> mx.sym.Symbol:
    """Normalize each cell's features to length 1, times a learnt scale per channel.

    Liu et al., ParseNet, 2015; SSD does so on its finest level.
    """
    from ssdreg.mx import mx
    name = feature.name
    factor = mx.sym.Variable(f"{name}_scale", shape=(1, level.channels, 1, 1),
                             init=mx.init.Constant(scale), wd_mult=0.1)
    unit = mx.sym.L2Normalization(feature, mode="channel", name=f"{name}_norm")
    return mx.sym.broadcast_mul(factor, unit, name=f"{name}_scaled")


def _by_cell(prediction: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    """Return predictions (B, K, h, w) cell by cell: (B, h * w * K)."""
    from ssdreg.mx import mx
    moved = mx.sym.transpose(prediction, axes=(0, 2, 3, 1), name=f"{name}_transpose")
    return mx.sym.Flatten(moved, name=f"{name}_flatten")


def train(predictions: Predictions, label: mx.sym.Symbol, plan: Plan) -> mx.sym.Symbol:
    """Group the training outputs ``cls_prob``, ``loc_loss``, ``cls_label``, ``det_out``.

    They stand in the order, and under the names, that metrics written for MXNet's SSD example
    read: (B, C + 1, N), (B, N * 4) or (B, N, 1) with GIoU, (B, N), (B, N, 6). Only the first
    two have a gradient. `label` is (B, M, 5 or more). Raises PlanError for a loss, or a box loss,
    that is not there.
    """
    if plan.loss not in LOSSES:
        raise PlanError(f"loss {plan.loss!r}: there are {', '.join(LOSSES)} here, and the head "
                        f"{plan.head!r} needs a train of its own for another")
    classify, negative_ratio = LOSSES[plan.loss]
    targets = ops.targets(predictions.anchors, label, predictions.cls_pred,
                          variances=plan.variances, negative_ratio=negative_ratio)
    cls_prob = classify(predictions.cls_pred, targets.cls_target)
    return outputs(cls_prob, targets, predictions, plan)


def outputs(cls_prob: mx.sym.Symbol, targets: ops.Targets, predictions: Predictions, plan: Plan
            ) -> mx.sym.Symbol:
    """Group what `train` returns, from probabilities (B, C + 1, N) that have the gradient."""
    from ssdreg.mx import mx
    loc_loss = _box_loss(predictions.loc_pred, targets, plan)
    cls_label = mx.sym.MakeLoss(targets.cls_target, grad_scale=0.0, name="cls_label")
    det_out = detections(cls_prob, predictions, plan)
    return mx.sym.Group([cls_prob, loc_loss, cls_label,
                         mx.sym.MakeLoss(det_out, grad_scale=0.0, name="det_out")])


def _box_loss(loc_pred: mx.sym.Symbol, targets: ops.Targets, plan: Plan) -> mx.sym.Symbol:
    if plan.box_loss == "smooth_l1":
        return ops.smooth_l1_loss(loc_pred, targets)
    if plan.box_loss == "giou":
        return ops.giou_loss(loc_pred, targets, variances=plan.variances)
    raise PlanError(f"box_loss {plan.box_loss!r}: there are smooth_l1 and giou here, and the head "
                    f"{plan.head!r} needs a train of its own for another")


#: Classification losses by name, each with its negatives per positive; -1 for all negatives.
LOSSES: dict[str, tuple[Callable[[mx.sym.Symbol, mx.sym.Symbol], mx.sym.Symbol], float]] = {
    "softmax": (ops.softmax_loss, 3.0), "focal": (ops.focal_loss, -1.0)}


def detect(predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    """Return the output ``detection`` (B, N, 6): class, score, x1, y1, x2, y2."""
    from ssdreg.mx import mx
    cls_prob = mx.sym.softmax(predictions.cls_pred, axis=1, name="cls_prob")
    return detections(cls_prob, predictions, plan)


def detections(cls_prob: mx.sym.Symbol, predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    """Decode and suppress as the plan says, from probabilities (B, C + 1, N), background first."""
    return ops.detection(cls_prob, predictions.loc_pred, predictions.anchors, plan.post_processing)
