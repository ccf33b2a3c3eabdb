"""Losses of classification and box regression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ssdreg.ops.target import IGNORE, Targets

if TYPE_CHECKING:
    from ssdreg.mx import mx


def softmax_loss(cls_pred: mx.sym.Symbol, cls_target: mx.sym.Symbol, *,
                 name: str = "cls_prob") -> mx.sym.Symbol:
    """Apply softmax over classes with a cross-entropy gradient: (B, C + 1, N) to probabilities.

    The gradient is that of the mean cross-entropy over all anchors of the batch whose
    `cls_target` (B, N) is not -1: positives and mined negatives together.
    """
    from ssdreg.mx import mx
    return mx.sym.SoftmaxOutput(
        data=cls_pred, label=cls_target, ignore_label=IGNORE, use_ignore=True, grad_scale=1.0,
        multi_output=True, normalization="valid", name=name)


def smooth_l1_loss(loc_pred: mx.sym.Symbol, targets: Targets, *,
                   name: str = "loc_loss") -> mx.sym.Symbol:
    """Return the smooth L1 loss of the offsets of positive anchors: (B, N * 4), 0 elsewhere.

    ``0.5 * d**2`` for ``|d| < 1``, else ``|d| - 0.5`` (Girshick, Fast R-CNN, 2015). The gradient
    is that of their sum over the count of losses above 0 in the batch, up to four an anchor, where
    the SSD paper divides by the number of positive anchors.
    """
    from ssdreg.mx import mx
    distance = mx.sym.elemwise_sub(loc_pred, targets.loc_target, name=f"{name}_distance")
    masked = mx.sym.elemwise_mul(targets.loc_mask, distance, name=f"{name}_masked")
    loss = mx.sym.smooth_l1(masked, scalar=1.0, name=f"{name}_")
    return mx.sym.MakeLoss(loss, grad_scale=1.0, normalization="valid", name=name)


def giou_loss(loc_pred: mx.sym.Symbol, targets: Targets, *,
              variances: tuple[float, float, float, float], name: str = "loc_loss"
              ) -> mx.sym.Symbol:
    """Return 1 - GIoU of the boxes of positive anchors with their objects: (B, N, 1), 0 elsewhere.

    Rezatofighi et al., Generalized Intersection over Union, 2019: 0 for equal boxes, and up to 2.
    What is measured is what counts, the overlap, where smooth L1 measures four numbers, each by
    itself. The gradient is `GIOU_WEIGHT` times that of their mean over the positive anchors.
    GIoU does not change when both boxes are moved and scaled alike, so it is computed around each
    anchor, with the anchor's sides as units. `variances` are those of the offsets.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    mask = sym.slice_axis(sym.Reshape(targets.loc_mask, shape=(0, -1, 4), name=f"{name}_masks"),
                          axis=2, begin=0, end=1, name=f"{name}_mask")
    boxes = _around_anchors(sym.elemwise_mul(targets.loc_mask, loc_pred, name=f"{name}_masked"),
                            variances, f"{name}_box")
    objects = _around_anchors(sym.BlockGrad(targets.loc_target), variances, f"{name}_object")

    def sides(of: tuple[mx.sym.Symbol, ...]) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
        return of[2] - of[0], of[3] - of[1]
    inner = sides((*(sym.maximum(boxes[edge], objects[edge]) for edge in (0, 1)),
                   *(sym.minimum(boxes[edge], objects[edge]) for edge in (2, 3))))
    outer = sides((*(sym.minimum(boxes[edge], objects[edge]) for edge in (0, 1)),
                   *(sym.maximum(boxes[edge], objects[edge]) for edge in (2, 3))))
    shared = sym.maximum(inner[0], 0.0) * sym.maximum(inner[1], 0.0)
    (width, height), (true_width, true_height) = sides(boxes), sides(objects)
    union = width * height + true_width * true_height - shared
    hull = outer[0] * outer[1]
    loss = mask * (1.0 - shared / union + (hull - union) / hull)
    # an anchor whose box is right to the last digit has a loss of 0, and is not counted
    return sym.MakeLoss(loss, grad_scale=GIOU_WEIGHT, normalization="valid", name=name)


#: What the mean of 1 - GIoU is multiplied by, so that boxes weigh about as much as classes do.
GIOU_WEIGHT = 2.0
#: Sides are at most these many times the anchor's, as in torchvision's detectors: training starts
#: with offsets that may be anything, and a power of them must stay finite.
MAX_GROWTH = 1000 / 16


def _around_anchors(offsets: mx.sym.Symbol, variances: tuple[float, float, float, float], name: str
                    ) -> tuple[mx.sym.Symbol, ...]:
    """Return left, top, right and bottom (B, N, 1) of boxes from their offsets (B, N * 4).

    The origin is the anchor's center, and its width and height are 1.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    parts = sym.Reshape(offsets, shape=(0, -1, 4), name=f"{name}_offsets")
    x, y, width, height = (
        sym.slice_axis(parts, axis=2, begin=place, end=place + 1) * variance
        for place, variance in enumerate(variances))
    limit = math.log(MAX_GROWTH)
    half_width, half_height = (sym.exp(sym.clip(log, a_min=-limit, a_max=limit)) * 0.5
                               for log in (width, height))
    return x - half_width, y - half_height, x + half_width, y + half_height


def focal_loss(cls_pred: mx.sym.Symbol, cls_target: mx.sym.Symbol, *, alpha: float = 0.25,
               gamma: float = 2.0, name: str = "cls_prob") -> mx.sym.Symbol:
    """Apply softmax over classes with the focal loss's gradient: (B, C + 1, N) to probabilities.

    Lin et al., Focal Loss for Dense Object Detection, 2017, in its softmax form: the loss of an
    anchor whose true class has probability p is ``-w * (1 - p)**gamma * log(p)`` with w = `alpha`
    for objects and ``1 - alpha`` for background, summed and divided by the number of positive
    anchors of the batch (at least one). `cls_target` (B, N) is 0 for background, -1 for anchors
    to ignore; take targets without negative mining.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    prob = sym.softmax(cls_pred, axis=1, name=f"{name}_softmax")
    target = sym.BlockGrad(cls_target, name=f"{name}_target")
    counted = target >= 0.0
    positive = target > 0.0
    weight = (positive * alpha + (counted - positive) * (1.0 - alpha))
    # The logarithm comes from the scores: that of a probability that is 0 in float32 would have no
    # gradient, where an anchor is most wrong. An ignored anchor reads class 0 with weight 0.
    log_p = sym.pick(sym.log_softmax(cls_pred, axis=1, name=f"{name}_log_softmax"),
                     sym.maximum(target, 0.0), axis=1, name=f"{name}_log_p")
    # a power below 1 has an infinite derivative at 0, and 0 times that is NaN
    miss = sym.maximum(1.0 - sym.exp(log_p), 1e-12)
    loss = -1.0 * weight * miss ** gamma * log_p
    loss = sym.broadcast_div(loss, sym.maximum(sym.sum(positive), 1.0))
    return learning(prob, loss, name=name)


def learning(prob: mx.sym.Symbol, loss: mx.sym.Symbol, *, name: str) -> mx.sym.Symbol:
    """Return probabilities as they are, with the gradient of a loss: (B, K, N), same.

    `loss` (B, N) is that of each anchor, normalized already; `prob` itself gets no gradient. For
    losses that MXNet has no operator for.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    prob = sym.BlockGrad(prob)
    # loss - BlockGrad(loss) is exactly 0 and has the gradient of the loss. It is added to the first
    # row only, so that it counts once and not per class.
    zero_with_gradient = sym.expand_dims(loss - sym.BlockGrad(loss), axis=1)
    first = sym.slice_axis(prob, axis=1, begin=0, end=1) + zero_with_gradient
    others = sym.slice_axis(prob, axis=1, begin=1, end=None)
    return sym.MakeLoss(sym.Concat(first, others, dim=1), grad_scale=1.0, name=name)
