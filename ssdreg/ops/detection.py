"""Detections: decoded, thresholded, suppressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssdreg.detector.post_processing import PostProcessing
    from ssdreg.mx import mx


def detection(cls_prob: mx.sym.Symbol, loc_pred: mx.sym.Symbol, anchors: mx.sym.Symbol,
              post_processing: PostProcessing, name: str = "detection") -> mx.sym.Symbol:
    """Turn predictions into detections (B, N, 6): class, score, x1, y1, x2, y2; float32.

    `cls_prob` (B, C + 1, N) probabilities, background first, `loc_pred` (B, N * 4) offsets,
    `anchors` (1, N, 4); the names that follow are those of `post_processing`, such as
    ``plan.post_processing``. An anchor takes its best class other than background; with a score
    below `threshold` it is dropped. The `nms_topk` best (all for -1) go through non-maximum
    suppression: a box that overlaps a better one of its class (of any class with
    `force_suppress`) by an IoU of `nms_threshold` or more is dropped. Boxes are shares of the
    image, clipped to 0..1 with `clip`.

    Class -1 marks rows that were dropped; their other values are undefined. The other
    rows are sorted by score. An `nms_threshold` outside 0 < t <= 1 turns suppression off, and
    the sorting and `nms_topk` with it.
    """
    from ssdreg.mx import mx
    return mx.sym.contrib.MultiBoxDetection(
        cls_prob, loc_pred, anchors, clip=post_processing.clip,
        threshold=post_processing.threshold, background_id=post_processing.background_id,
        variances=post_processing.variances, nms_threshold=post_processing.nms_threshold,
        nms_topk=post_processing.nms_topk, force_suppress=post_processing.force_suppress,
        name=name)
