"""SSD's own operators: anchors, targets and detections."""

from __future__ import annotations

from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.multibox import Detecting, Targeting, find_detections, find_targets, place_anchors
from ssdreg_torch.translation import Compute, translates, unsupported

VARIANCES = (0.1, 0.1, 0.2, 0.2)


@translates("_contrib_MultiBoxPrior", "MultiBoxPrior")
def prior(node: Node) -> Compute:
    """Return the anchors of one level."""
    attrs = node.attrs
    sizes, ratios = attrs.numbers("sizes", (1.0,)), attrs.numbers("ratios", (1.0,))
    steps, offsets = attrs.numbers("steps", (-1.0, -1.0)), attrs.numbers("offsets", (0.5, 0.5))
    clip = attrs.flag("clip")

    def compute(feature: Tensor) -> Tensor:
        anchors = place_anchors(feature, sizes, ratios, steps, offsets)
        return anchors.clamp(0, 1) if clip else anchors
    return compute


@translates("_contrib_MultiBoxTarget", "MultiBoxTarget")
def target(node: Node) -> Compute:
    """Return the targets of offsets, their mask, and the targets of classes."""
    settings = targeting(node)
    return lambda anchors, label, scores: find_targets(anchors, label, scores, settings)


def targeting(node: Node) -> Targeting:
    """Return the settings of targets.

    MXNet's ``minimum_negative_samples`` has no effect there, and none here.
    """
    attrs = node.attrs
    return Targeting(
        overlap=attrs.number("overlap_threshold", 0.5), ignore=attrs.number("ignore_label", -1.0),
        negative_ratio=attrs.number("negative_mining_ratio", -1.0),
        negative_overlap=attrs.number("negative_mining_thresh", 0.5),
        variances=attrs.numbers("variances", VARIANCES))


@translates("_contrib_MultiBoxDetection", "MultiBoxDetection")
def detection(node: Node) -> Compute:
    """Return detections: decoded, thresholded, suppressed."""
    attrs = node.attrs
    if attrs.integer("background_id", 0):
        raise unsupported(node, "its background is not class 0")
    settings = Detecting(
        clip=attrs.flag("clip", True), threshold=attrs.number("threshold", 0.01),
        overlap=attrs.number("nms_threshold", 0.5), every_class=attrs.flag("force_suppress"),
        best=attrs.integer("nms_topk", -1), variances=attrs.numbers("variances", VARIANCES))
    return lambda scores, offsets, anchors: find_detections(scores, offsets, anchors, settings)
