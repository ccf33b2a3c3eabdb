"""A detector with another threshold of suppression than it was made with."""

from __future__ import annotations

from attrs import evolve
from ssdreg_runtime.backends.settings import check_iou

from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.errors import ModelError
from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import DETECTION


def with_iou(model: DeployModel, iou: float) -> DeployModel:
    """Return a detector that drops the lesser of two boxes from this overlap on.

    Raises ModelError for a detector without suppression, and for one whose anchors may be objects
    of several classes: that one has no operator of detection, whose setting this would be.
    """
    check_iou(iou, facts_of(model), model.name)
    net = Net.of(model.symbol)
    if net.last.op != DETECTION:
        raise ModelError(f"{model.name} suppresses each class by itself, for which --iou goes with "
                         f"the backends openvino and onnxruntime only")
    node = net.last.with_attrs({"nms_threshold": repr(float(iou))})
    return evolve(model, symbol=net.replaced({net.heads[0][0]: node}).symbol())
