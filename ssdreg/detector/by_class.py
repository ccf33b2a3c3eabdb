"""Detections of every class an anchor may be, found in a symbol: see `ssdreg.ops.by_class`."""

from __future__ import annotations

import math

from attrs import frozen

from ssdreg.detector.post_processing import ByClassProcessing
from ssdreg.graph.nodes import Entry, Net

NMS = "_contrib_box_nms"


@frozen
class DetectionByClass:
    """Where a network ends and its detections begin, and by which rules they are made.

    `probabilities` (B, C + 1, N), background first, `offsets` (B, N * 4) and `anchors` (1, N, 4)
    are outputs of the network's nodes.
    """

    probabilities: Entry
    offsets: Entry
    anchors: Entry
    rules: ByClassProcessing


def find_detection_by_class(net: Net) -> DetectionByClass | None:
    """Find detections of every class at a symbol's end; None where it ends otherwise."""
    if net.last.op != "slice_axis" or net.op(net.last.inputs[0][0]) != NMS:
        return None
    try:
        return _read(net, net.last.inputs[0][0])
    except (StopIteration, IndexError, ValueError):  # box_nms behind something else
        return None


def _read(net: Net, last: int) -> DetectionByClass:
    """Read what the last suppression sorts, which is what the one before it leaves."""
    suppression = _first(net, net.inputs(last)[0][0], NMS)
    (rows,) = (index for index in net.find("gather_nd") if index in net.upstream(suppression))
    (best,) = (index for index in net.find("topk") if index in net.upstream(suppression))
    objects = _first(net, best, "slice_axis")
    boxes = net.inputs(rows)[0][0]
    # center - half: both are followed to the offsets and anchors that they are computed from
    low = _first(net, boxes, "elemwise_sub")
    center, half = (_first(net, net.inputs(low)[place][0], op)
                    for place, op in ((0, "broadcast_add"), (1, "broadcast_mul")))
    middle = net.inputs(center)[1][0]
    shift, growth = (net.attrs(_first(net, start, "_mul_scalar")).number("scalar")
                     for start in (center, half))
    widest = math.exp(net.attrs(_first(net, half, "_minimum_scalar")).number("scalar"))
    nms = net.attrs(suppression)
    return DetectionByClass(
        probabilities=net.inputs(objects)[0],
        offsets=net.inputs(_first(net, center, "Reshape"))[0],
        anchors=net.inputs(_first(net, middle, "slice_axis"))[0],
        rules=ByClassProcessing(
            threshold=nms.number("valid_thresh"), nms_threshold=nms.number("overlap_thresh", 0.5),
            nms_topk=net.attrs(best).integer("k", 1), most=net.attrs(last).integer("topk", -1),
            variances=(shift, shift, growth, growth), widest=widest))


def _first(net: Net, start: int, op: str) -> int:
    """Return the first node of an operator on the way from a node to where it begins."""
    return next(index for index in net.main_line(start) if net.op(index) == op)
