"""torchvision's SSD and SSDLite as heads: SSD's layers, with anchors and detections of their own.

Two things differ from SSD as MXNet has it. Anchors are no wider and no higher than the image. And
an anchor may be an object of several classes: see `ssdreg.ops.by_class`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg import Plan, Predictions, ops
from ssdreg.detector.post_processing import ByClassProcessing
from ssdreg.heads import ssd, ssdlite

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Scores above this are looked at, and so many detections come out, at most.
SSD_THRESHOLD, SSD_MOST = 0.01, 200
SSDLITE_THRESHOLD, SSDLITE_MOST = 0.001, 300


def predict(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict with SSD's layers on torchvision's anchors."""
    return within_image(ssd.predict(backbone, plan))


def predict_lite(backbone: mx.sym.Symbol, plan: Plan) -> Predictions:
    """Predict with SSDLite's layers on torchvision's anchors."""
    return within_image(ssdlite.predict(backbone, plan))


def within_image(predictions: Predictions) -> Predictions:
    """Make anchors that are wider or higher than the image as wide or high as it.

    They keep their centers, so that they may still reach beyond its sides.
    """
    from ssdreg.mx import mx
    sym, anchors, name = mx.sym, predictions.anchors, "anchors_within"
    low = sym.slice_axis(anchors, axis=2, begin=0, end=2, name=f"{name}_low")
    high = sym.slice_axis(anchors, axis=2, begin=2, end=4, name=f"{name}_high")
    center = (low + high) * 0.5
    half = sym.minimum((high - low) * 0.5, 0.5)
    return Predictions(predictions.cls_pred, predictions.loc_pred,
                       sym.Concat(center - half, center + half, dim=2, name=name))


def detect(predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    """Return the 200 best detections."""
    return _detect(predictions, plan, SSD_THRESHOLD, SSD_MOST)


def detect_lite(predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    """Return the 300 best detections."""
    return _detect(predictions, plan, SSDLITE_THRESHOLD, SSDLITE_MOST)


def _detect(predictions: Predictions, plan: Plan, threshold: float, most: int) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    rules = ByClassProcessing(threshold=threshold, nms_threshold=plan.nms_threshold,
                              nms_topk=plan.nms_topk, most=most, variances=plan.variances)
    cls_prob = mx.sym.softmax(predictions.cls_pred, axis=1, name="cls_prob")
    return ops.detection_by_class(cls_prob, predictions.loc_pred, predictions.anchors, rules,
                                  plan.num_classes, plan.anchors)
