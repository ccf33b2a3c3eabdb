"""Detections of every class an anchor may be, in standard ONNX operators.

The semantics are those of `ssdreg.ops.by_class`; candidates of equal scores come in the order that
the runtime gives them.
"""

from __future__ import annotations

import numpy as np

from ssdreg.detector.post_processing import ByClassProcessing
from ssdreg.exporting.operators.detection import decode
from ssdreg.exporting.reading import Shape
from ssdreg.exporting.writer import Value, Writer

_UNKNOWN_PAIR = (Shape((), ()), Shape((), ()))


def write_detections_by_class(probabilities: Value, offsets: Value, anchors: np.ndarray,
                              rules: ByClassProcessing, writer: Writer) -> tuple[Value, int]:
    """Write the output (B, K, 6): class, score, x1, y1, x2, y2; all -1 where there is nothing.

    `probabilities` (B, C + 1, N), background first, `offsets` (B, N * 4), `anchors` (1, N, 4), all
    float32. Returned with it is K.
    """
    classes, count = probabilities.sizes[1] - 1, probabilities.sizes[2]
    kept = min(rules.nms_topk, count) if rules.nms_topk > 0 else count
    most = min(rules.most, classes * kept) if rules.most > 0 else classes * kept
    boxes = decode(offsets, anchors[0], rules.summary, writer, rules.widest)
    one, end, axis = (writer.integers([value], label) for value, label in (
        (1, "first_object"), (classes + 1, "after_last_object"), (1, "class_axis")))
    objects = writer.node("Slice", [probabilities, one, end, axis], "objects")
    scores, places = writer.node_of("TopK", [objects, writer.integers([kept], "best_count")],
                                    "best", _UNKNOWN_PAIR, axis=2, largest=1, sorted=1)
    last = writer.integers([3], "index_axis")
    chosen = writer.node("GatherND", [boxes, writer.node("Unsqueeze", [places, last],
                                                         "best_index")],
                         "best_boxes", batch_dims=1)
    # every class of every image by itself, as an image of one class
    by_class = writer.node("Reshape", [chosen, writer.integers([-1, kept, 4], "boxes_of_class")],
                           "boxes_by_class")
    of_class = writer.node("Reshape", [scores, writer.integers([-1, 1, kept], "scores_of_class")],
                           "scores_by_class")
    stays = _stays(by_class, of_class, kept, rules, writer)
    left = writer.node("Where", [stays, writer.node("Reshape", [
        scores, writer.integers([-1, kept], "rows_of_class")], "scores_in_rows"),
        writer.floats(-1.0, "dropped")], "left")
    by_image = writer.node("Reshape", [left, writer.integers([-1, classes * kept], "of_image")],
                           "left_by_image")
    top, index = writer.node_of("TopK", [by_image, writer.integers([most], "most")], "top",
                                _UNKNOWN_PAIR, axis=1, largest=1, sorted=1)
    return _rows(top, index, chosen, kept, classes, writer), most


def _stays(boxes: Value, scores: Value, kept: int, rules: ByClassProcessing,
           writer: Writer) -> Value:
    """Write which of boxes (R, K, 4) with scores (R, 1, K) stay: (R, K)."""
    selected = writer.node("NonMaxSuppression", [
        boxes, scores, writer.integers([kept], "most_boxes"),
        writer.constant(np.array([rules.nms_threshold], np.float32), "iou_threshold"),
        writer.constant(np.array([rules.threshold], np.float32), "score_threshold")], "selected")
    # (row, 0, box) of each box that stays
    pairs = writer.node("Gather", [selected, writer.integers([0, 2], "row_and_box")],
                        "selected_places", axis=1)
    number = writer.node("Shape", [selected], "selected_count", start=0, end=1)
    marks = writer.node("Expand", [writer.floats([1.0], "mark"), number], "marks")
    flat = writer.node("Reshape", [scores, writer.integers([-1, kept], "unmarked_rows")],
                       "rows_of_scores")
    nothing = writer.node("Mul", [flat, writer.floats(0.0, "nothing_yet")], "no_marks")
    marked = writer.node("ScatterND", [nothing, pairs, marks], "marked")
    return writer.node("Greater", [marked, writer.floats(0.5, "half_a_mark")], "stays")


def _rows(scores: Value, index: Value, boxes: Value, kept: int, classes: int,
          writer: Writer) -> Value:
    """Write rows of the best scores (B, K), of boxes (B, C, kept, 4) by their flat index."""
    last = writer.integers([2], "column_axis")
    flat = writer.node("Reshape", [boxes, writer.integers([-1, classes * kept, 4],
                                                          "boxes_of_image")], "boxes_by_image")
    chosen = writer.node("GatherND", [flat, writer.node("Unsqueeze", [index, last], "top_index")],
                         "top_boxes", batch_dims=1)
    number = writer.node("Div", [index, writer.integers([kept], "rows_a_class")], "top_class")
    labels = writer.cast(number, np.dtype(np.float32), "class_number")
    rows = writer.node("Concat", [writer.node("Unsqueeze", [labels, last], "class_column"),
                                  writer.node("Unsqueeze", [scores, last], "score_column"),
                                  chosen], "rows", axis=2)
    used = writer.node("Greater", [scores, writer.floats(0.0, "least")], "is_used")
    return writer.node("Where", [writer.node("Unsqueeze", [used, last], "row_is_used"), rows,
                                 writer.floats(-1.0, "unused")], "detection")
