"""MultiBoxDetection in standard ONNX operators: best class, threshold, top-k, decoding, NMS.

The semantics are those of MXNet's operator (see `ssdreg.ops.detection`), except that no more rows
come out than enter suppression. Only the best boxes are decoded; of all other anchors only the best
score is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from ssdreg.detector.post_processing import PostProcessing
from ssdreg.exporting.reading import Shape
from ssdreg.exporting.writer import Value, Writer

#: An end beyond any axis, in a Slice.
_END = np.iinfo(np.int64).max
#: The least key that OpenVINO, which computes with 32-bit integers, cannot sort by.
_INT32_END = 2**31


@frozen(eq=False)
class DetectionInputs:
    """The inputs of detection, all float32.

    `probabilities` (B, N, C + 1), background first; `offsets` (B, N * 4); `anchors` (1, N, 4)
    corners. B is the writer's batch. `count` is N, `classes` is C.
    """

    probabilities: Value
    offsets: Value
    anchors: np.ndarray
    count: int
    classes: int


def write_detections(predictions: DetectionInputs, rules: PostProcessing, writer: Writer) -> Value:
    """Write the output (B, K, 6): class, score, x1, y1, x2, y2; class -1 for what is dropped."""
    objects = _objects(predictions, writer)
    best = writer.reduce("ReduceMax", objects, [2], False, "best_score")
    least = writer.floats(rules.threshold, "score_threshold")
    is_enough = writer.node("GreaterOrEqual", [best, least], "is_enough")
    no_score = writer.floats(-1.0, "none")
    scores = writer.node("Where", [is_enough, best, no_score], "scores")
    if not rules.suppresses:
        labels = writer.node("ArgMax", [objects], "best_class", axis=2, keepdims=0)
        boxes = decode(predictions.offsets, predictions.anchors[0], rules, writer)
        return _rows(_used_classes(labels, scores, writer), scores, boxes, writer)
    count = rules.kept(predictions.count)
    top, index = writer.node_of("TopK", [scores, writer.integers([count], "count")], "best",
                                (Shape((), ()), Shape((), ())), axis=1, largest=1, sorted=1)
    if count * predictions.count < _INT32_END:
        index = _lower_anchor_first(index, top, predictions.count, writer)
    index = writer.node("Unsqueeze", [index, writer.integers([2], "last_axis")], "best_index")
    best_objects = writer.node("GatherND", [objects, index], "best_objects", batch_dims=1)
    best_class = writer.node("ArgMax", [best_objects], "best_class", axis=2, keepdims=0)
    labels = _used_classes(best_class, top, writer)
    by_anchor = writer.integers([0, -1, 4], "by_anchor")
    offsets = writer.node("Reshape", [predictions.offsets, by_anchor], "all_offsets")
    offsets = writer.node("GatherND", [offsets, index], "best_offsets", batch_dims=1)
    anchors = writer.node("GatherND", [Value.constant(predictions.anchors[0], "anchors"), index],
                          "best_anchors")
    boxes = decode(offsets, anchors, rules, writer)
    labels = _suppress(labels, top, boxes, count, predictions.classes, rules, writer)
    return _rows(labels, top, boxes, writer)


def _lower_anchor_first(index: Value, scores: Value, anchors: int, writer: Writer) -> Value:
    """Write the anchors (B, K) of sorted scores (B, K), sorted among equal scores.

    ONNX specifies this order for TopK, and MXNet has it; OpenVINO returns any order, and scores of
    exactly 1 are not rare. The sort key is the group of equal scores, then the anchor.
    """
    axis = writer.integers([1], "rank_axis")
    zero, one, last, end = (writer.integers([value], label) for value, label in (
        (0, "first_rank"), (1, "second_rank"), (-1, "last_rank"), (_END, "behind_last_rank")))
    before, after = (writer.node("Slice", [scores, begin, stop, axis], name)
                     for begin, stop, name in ((zero, last, "score_before"),
                                               (one, end, "score_after")))
    lower = writer.cast(writer.node("Less", [after, before], "is_lower"), np.dtype(np.int64),
                        "is_lower_number")
    pads = writer.integers([0, 1, 0, 0], "one_before")
    steps = writer.node("Pad", [lower, pads], "steps_down")
    group = writer.node("CumSum", [steps, writer.constant(np.array(1, np.int64), "along_ranks")],
                        "group")
    offset = writer.node("Mul", [group, writer.integers([anchors], "anchor_count")],
                         "group_offset")
    key = writer.node("Add", [offset, index], "place_key")
    length = writer.node("Shape", [key], "key_count", start=1, end=2)
    _, order = writer.node_of("TopK", [key, length], "place", (Shape((), ()),) * 2, axis=1,
                              largest=0, sorted=1)
    return writer.node("GatherElements", [index, order], "best_anchor", axis=1)


def write_raw(predictions: DetectionInputs, rules: PostProcessing, writer: Writer,
              widest: float | None = None) -> tuple[Value, Value]:
    """Write ``scores`` (B, N, C) and ``boxes`` (B, N, 4), the inputs of suppression.

    `widest` is that of `decode`.
    """
    return (_objects(predictions, writer, name="scores"),
            decode(predictions.offsets, predictions.anchors[0], rules, writer, widest))


def _objects(predictions: DetectionInputs, writer: Writer, name: str = "objects") -> Value:
    """Cut background off the probabilities."""
    one, all_, last = (writer.integers([value], label) for value, label in (
        (1, "first_object"), (predictions.classes + 1, "after_last_object"), (2, "class_axis")))
    return writer.node("Slice", [predictions.probabilities, one, all_, last], name)


def decode(offsets: Value, anchors: Value | np.ndarray, rules: PostProcessing,
           writer: Writer, widest: float | None = None) -> Value:
    """Write boxes (B, K, 4) of offsets (B, K, 4) or (B, N * 4) and their anchors.

    `widest` is the greatest factor by which a box is wider or higher than its anchor, None for any.
    """
    if isinstance(anchors, np.ndarray):
        anchors = Value.constant(anchors, "anchors")
        offsets = writer.node("Reshape", [offsets, writer.integers([0, -1, 4], "by_anchor")],
                              "all_offsets")
    middle = writer.integers([2, 2], "corner_sizes")
    low, high = writer.node_of("Split", [anchors, middle], "anchor_corners",
                               (Shape((), ()),) * 2, axis=-1)
    size = writer.node("Sub", [high, low], "anchor_size")
    half = writer.floats(0.5, "half")
    center = writer.node("Mul", [writer.node("Add", [low, high], "anchor_sum"), half],
                         "anchor_centre")
    shift, growth = writer.node_of("Split", [offsets, middle], "offset_parts",
                                   (Shape((), ()),) * 2, axis=-1)
    x, y, width, height = rules.variances
    shift = writer.node("Mul", [writer.node("Mul", [shift, writer.floats([x, y], "variance_xy")],
                                            "shift_scaled"), size], "shift")
    center = writer.node("Add", [shift, center], "centre")
    growth = writer.node("Mul", [growth, writer.floats([width, height], "variance_wh")],
                         "growth_scaled")
    if widest is not None:
        growth = writer.node("Min", [growth, writer.floats(math.log(widest), "most_growth")],
                             "growth_limited")
    # half the size, as in MXNet
    reach = writer.node("Mul", [writer.node("Mul", [writer.node("Exp", [growth], "growth"), size],
                                            "box_size"), half], "reach")
    corners = [writer.node("Sub", [center, reach], "box_low"),
               writer.node("Add", [center, reach], "box_high")]
    if not rules.clip:
        return writer.node("Concat", corners, "boxes", axis=-1)
    joined = writer.node("Concat", corners, "unclipped_boxes", axis=-1)
    return writer.node("Clip", [joined, writer.floats(0.0, "zero"), writer.floats(1.0, "one")],
                       "boxes")


def _used_classes(labels: Value, scores: Value, writer: Writer) -> Value:
    """Write classes as float32, -1 where the score is below the threshold."""
    classes = writer.cast(labels, np.dtype(np.float32), "class_number")
    used = writer.node("GreaterOrEqual", [scores, writer.floats(0.0, "least")], "is_used")
    return writer.node("Where", [used, classes, writer.floats(-1.0, "unused")], "used_class")


def _suppress(labels: Value, scores: Value, boxes: Value, count: int, classes: int,
              rules: PostProcessing, writer: Writer) -> Value:
    """Write classes (B, K) with -1 for boxes that overlap a better one too much."""
    # rows are sorted, so their ranks replace their scores: there are no ties for any runtime
    ranks = writer.constant(np.arange(count, 0, -1, dtype=np.float32).reshape(1, 1, -1), "ranks")
    by_box = writer.node("Unsqueeze", [labels, writer.integers([1], "class_place")],
                         "class_of_box")
    if rules.force_suppress:
        has_rank = writer.node("GreaterOrEqual", [by_box, writer.floats(0.0, "first_class")],
                               "has_class")
    else:
        # one row a class, in which boxes of other classes have no rank
        numbers = writer.constant(np.arange(classes, dtype=np.float32).reshape(1, -1, 1),
                                  "class_numbers")
        has_rank = writer.node("Equal", [by_box, numbers], "is_own_class")
    by_class = writer.node("Where", [has_rank, ranks, writer.floats(-1.0, "no_rank")],
                           "ranks_by_class")
    # MXNet suppresses from the threshold on, ONNX above it
    limit = np.nextafter(np.float32(rules.nms_threshold), np.float32(0))
    selected = writer.node("NonMaxSuppression", [
        boxes, by_class, writer.integers([count], "most_boxes"),
        writer.constant(np.array([limit], np.float32), "iou_threshold"),
        writer.constant(np.array([-0.5], np.float32), "least_score")], "selected")
    # (image, class, box) of each box that stays, marked in (B, K)
    pairs = writer.node("Gather", [selected, writer.integers([0, 2], "image_and_box")],
                        "selected_places", axis=1)
    number = writer.node("Shape", [selected], "selected_count", start=0, end=1)
    marks = writer.node("Expand", [writer.floats([1.0], "mark"), number], "marks")
    nothing = writer.node("Mul", [scores, writer.floats(0.0, "nothing_yet")], "no_marks")
    marked = writer.node("ScatterND", [nothing, pairs, marks], "marked")
    stays = writer.node("Greater", [marked, writer.floats(0.5, "half_a_mark")], "stays")
    return writer.node("Where", [stays, labels, writer.floats(-1.0, "suppressed")], "final_class")


def _rows(labels: Value, scores: Value, boxes: Value, writer: Writer) -> Value:
    """Write the rows (B, K, 6)."""
    last = writer.integers([2], "column_axis")
    columns: Sequence[Value] = [writer.node("Unsqueeze", [labels, last], "class_column"),
                                writer.node("Unsqueeze", [scores, last], "score_column"), boxes]
    return writer.node("Concat", columns, "detection", axis=2)
