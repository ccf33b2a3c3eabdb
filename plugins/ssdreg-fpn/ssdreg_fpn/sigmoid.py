"""The focal loss on independent classes, and detections.

Lin et al., Focal Loss for Dense Object Detection, 2017, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg import ops
from ssdreg.detector.plan import Plan
from ssdreg.heads import multibox
from ssdreg.registry.head import Predictions

if TYPE_CHECKING:
    from ssdreg.mx import mx

ALPHA, GAMMA = 0.25, 2.0


def train(predictions: Predictions, label: mx.sym.Symbol, plan: Plan) -> mx.sym.Symbol:
    """Group the training outputs; see `ssdreg.Head`.

    Every anchor that matches no object is background. The paper leaves those out that overlap one
    by an IoU of 0.4 to 0.5; MultiBoxTarget does not.
    """
    prob = probabilities(predictions.cls_pred)
    targets = ops.targets(predictions.anchors, label, prob, variances=plan.variances,
                          negative_ratio=-1.0)
    cls_prob = ops.learning(prob, focal_loss(predictions.cls_pred, targets.cls_target, plan),
                            name="cls_prob")
    return multibox.outputs(cls_prob, targets, predictions, plan)


def detect(predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    """Return the output ``detection`` (B, N, 6): class, score, x1, y1, x2, y2."""
    return multibox.detections(probabilities(predictions.cls_pred), predictions, plan)


def probabilities(cls_pred: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return probabilities (B, C + 1, N) of logits (B, C, N).

    The classes are independent. The probability of background, the first row, is 1 minus the
    greatest probability of a class.
    """
    from ssdreg.mx import mx
    objects = mx.sym.sigmoid(cls_pred, name="fpn_objects")
    background = 1.0 - mx.sym.max(objects, axis=1, keepdims=True)
    return mx.sym.Concat(background, objects, dim=1, name="fpn_prob")


def focal_loss(cls_pred: mx.sym.Symbol, cls_target: mx.sym.Symbol, plan: Plan) -> mx.sym.Symbol:
    """Return the focal loss of each anchor: logits (B, C, N) and targets (B, N) to (B, N).

    The sum over classes of ``-w * (1 - p)**2 * log(p)``, where p is the probability given to what
    is true of the class and w is 0.25 where it is the anchor's class and 0.75 where it is not,
    over the number of positive anchors of the batch (at least one). Targets are 0 for background,
    the class plus one for objects, and -1 for anchors that do not count.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    target = sym.BlockGrad(cls_target)
    # one_hot gives a row of zeros for a class of -1 or -2
    is_class = sym.transpose(sym.one_hot(target - 1.0, depth=plan.num_classes), axes=(0, 2, 1))
    sign = 2.0 * is_class - 1.0
    # the probability of the truth is sigmoid(true_logit); its logarithm is taken from the logit,
    # since that of a probability which is 0 in float32 would have no gradient
    true_logit = sign * cls_pred
    log_p = -1.0 * sym.Activation(-1.0 * true_logit, act_type="softrelu")
    weight = is_class * ALPHA + (1.0 - is_class) * (1.0 - ALPHA)
    loss = -1.0 * weight * sym.sigmoid(-1.0 * true_logit) ** GAMMA * log_p
    counted = sym.sum(loss, axis=1) * (target >= 0.0)
    return sym.broadcast_div(counted, sym.maximum(sym.sum(target > 0.0), 1.0))
