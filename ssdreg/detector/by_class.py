"""Detections of every class an anchor may be, found in a symbol: see `ssdreg.ops.by_class`."""

from __future__ import annotations

from attrs import frozen

from ssdreg.detector.post_processing import ByClassProcessing
from ssdreg.graph.nodes import Entry, Net

NMS = "_contrib_box_nms"


@frozen
class DetectionByClass:
    """Where a network ends and its detections begin, and by which rules they are made.

    `probabilities` (B, C + 1, N), background first, and `boxes` (B, N, 4) are outputs of the
    network's nodes, to which indices lead. What `rules` say of variances and of the widest box is
    done to `boxes` already.
    """

    probabilities: Entry
    boxes: Entry
    rules: ByClassProcessing


def find_detection_by_class(net: Net) -> DetectionByClass | None:
    """Find detections of every class at a symbol's end; None where it ends otherwise."""
    if net.last.op != "slice_axis" or net.op(net.last.inputs[0][0]) != NMS:
        return None
    last = net.last.inputs[0][0]
    before = [index for index in net.main_line(net.inputs(last)[0][0]) if net.op(index) == NMS][:1]
    upstream = net.upstream(*before) if before else frozenset()
    gathered = [index for index in net.find("gather_nd") if index in upstream]
    best = [index for index in net.find("topk") if index in upstream]
    if not (len(before) == len(gathered) == len(best) == 1):
        return None
    objects = net.inputs(best[0])[0][0]
    if net.op(objects) != "slice_axis":
        return None
    nms = net.attrs(before[0])
    return DetectionByClass(
        probabilities=net.inputs(objects)[0], boxes=net.inputs(gathered[0])[0],
        rules=ByClassProcessing(
            threshold=nms.number("valid_thresh"), nms_threshold=nms.number("overlap_thresh", 0.5),
            nms_topk=net.attrs(best[0]).integer("k", 1),
            most=net.attrs(last).integer("topk", -1)))
