"""Losses of classification and box regression."""

from __future__ import annotations

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
