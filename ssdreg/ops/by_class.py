"""Detections of every class an anchor may be: decoded, thresholded, suppressed class by class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ssdreg.errors import PlanError

if TYPE_CHECKING:
    from ssdreg.detector.post_processing import ByClassProcessing
    from ssdreg.mx import mx


def detection_by_class(cls_prob: mx.sym.Symbol, loc_pred: mx.sym.Symbol, anchors: mx.sym.Symbol,
                       rules: ByClassProcessing, classes: int, count: int,
                       name: str = "detection") -> mx.sym.Symbol:
    """Turn predictions into detections (B, K, 6): class, score, x1, y1, x2, y2; float32.

    `cls_prob` (B, C + 1, N) probabilities, background first, `loc_pred` (B, N * 4) offsets,
    `anchors` (1, N, 4); `classes` is C, `count` N. Every class of an anchor is a candidate of its
    own. Of each class the `nms_topk` best of those with a score above `threshold` go through
    suppression: a box that overlaps a better one of its class by an IoU above `nms_threshold` is
    dropped. The `most` best of all classes come out, sorted by score: K is `most`, or C * N where
    that is less. Boxes are shares of the image, clipped to 0..1 before they are held against one
    another.

    Rows without a detection hold -1. Candidates of equal scores may come in any order.

    The best of each class are chosen before their boxes are gathered, so that suppression works on
    C * `nms_topk` boxes and not on C * N.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    kept = min(rules.nms_topk, count) if rules.nms_topk > 0 else count
    most = min(rules.most, classes * kept)
    boxes = decoded(loc_pred, anchors, rules, f"{name}_boxes")
    objects = sym.slice_axis(cls_prob, axis=1, begin=1, end=None, name=f"{name}_objects")
    best = sym.topk(objects, axis=2, k=kept, ret_typ="both", name=f"{name}_best")
    # (B, C, kept, 6): the rows of each class
    scores, places = best[0], best[1]
    image = sym.Reshape(sym.contrib.arange_like(boxes, axis=0, name=f"{name}_images"),
                        shape=(-1, 1, 1), name=f"{name}_image")
    image = sym.broadcast_like(image, places, name=f"{name}_image_of_each")
    chosen = sym.gather_nd(boxes, sym.stack(image, places, axis=0, name=f"{name}_indices"),
                           name=f"{name}_best_boxes")
    numbers = sym.Reshape(sym.contrib.arange_like(objects, axis=1, name=f"{name}_numbers"),
                          shape=(1, -1, 1), name=f"{name}_number")
    numbers = sym.broadcast_like(numbers, scores, name=f"{name}_class_of_each")
    rows = sym.Concat(sym.expand_dims(numbers, axis=3, name=f"{name}_class"),
                      sym.expand_dims(scores, axis=3, name=f"{name}_score"), chosen, dim=3,
                      name=f"{name}_rows")
    # every class of every image by itself
    rows = sym.Reshape(rows, shape=(-3, kept, 6), name=f"{name}_by_class")
    rows = _suppressed(rows, rules, kept, f"{name}_nms")
    rows = sym.Reshape(rows, shape=(-1, classes * kept, 6), name=f"{name}_by_image")
    # what is left overlaps no more within a class: this sorts, and keeps the best
    rows = _suppressed(rows, rules, most, f"{name}_sorted")
    return sym.slice_axis(rows, axis=1, begin=0, end=most, name=name)


def _suppressed(rows: mx.sym.Symbol, rules: ByClassProcessing, most: int, name: str
                ) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    return mx.sym.contrib.box_nms(
        rows, overlap_thresh=rules.nms_threshold, valid_thresh=rules.threshold, topk=most,
        coord_start=2, score_index=1, id_index=0, force_suppress=False, name=name)


def decoded(loc_pred: mx.sym.Symbol, anchors: mx.sym.Symbol, rules: ByClassProcessing,
            name: str) -> mx.sym.Symbol:
    """Return the boxes (B, N, 4) of offsets (B, N * 4) from anchors (1, N, 4), clipped to 0..1."""
    from ssdreg.mx import mx
    sym = mx.sym

    def columns(value: mx.sym.Symbol, begin: int, label: str) -> mx.sym.Symbol:
        return sym.slice_axis(value, axis=2, begin=begin, end=begin + 2, name=f"{name}_{label}")

    offsets = sym.Reshape(loc_pred, shape=(0, -1, 4), name=f"{name}_offsets")
    low, high = columns(anchors, 0, "anchor_low"), columns(anchors, 2, "anchor_high")
    side, middle = high - low, (high + low) * 0.5
    across, down, width, height = rules.variances
    if across != down or width != height:
        raise PlanError(f"variances={rules.variances} must be alike across and down for detections "
                        f"of every class")
    center = sym.broadcast_add(sym.broadcast_mul(columns(offsets, 0, "shift") * across, side),
                               middle, name=f"{name}_center")
    growth = sym.minimum(columns(offsets, 2, "growth") * width, math.log(rules.widest))
    half = sym.broadcast_mul(sym.exp(growth), side * 0.5, name=f"{name}_half")
    corners = sym.Concat(center - half, center + half, dim=2, name=f"{name}_corners")
    return sym.clip(corners, a_min=0.0, a_max=1.0, name=name)
