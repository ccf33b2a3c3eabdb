"""Training targets: the match of anchors with objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from ssdreg.mx import mx

IGNORE = -1.0


@frozen
class Targets:
    """The targets of the anchors.

    `loc_target` (B, N * 4) encoded offsets, `loc_mask` (B, N * 4) 1 where an anchor is positive,
    `cls_target` (B, N) the class plus one, 0 for background, -1 for anchors to ignore. float32.
    """

    loc_target: mx.sym.Symbol
    loc_mask: mx.sym.Symbol
    cls_target: mx.sym.Symbol


def targets(anchors: mx.sym.Symbol, label: mx.sym.Symbol, cls_pred: mx.sym.Symbol, *,
            variances: tuple[float, float, float, float], negative_ratio: float = 3.0,
            name: str = "multibox_target") -> Targets:
    """Match anchors (1, N, 4) to objects `label` (B, M, 5 or more: class, x1, y1, x2, y2).

    The pair of an object and an anchor with the greatest IoU is matched first, then the best of
    the objects and anchors left, until every object has one anchor; an object that no free anchor
    overlaps (by more than 1e-6) gets none. Every other anchor with an IoU above 0.5 gets the
    object it overlaps most. Offsets are the centre's distance over the anchor's size and the log
    of the ratio of sizes, each over its variance.

    Of the rest, those with an IoU below 0.5 and the smallest softmax probability of background in
    `cls_pred` (B, C + 1, N) are kept as negatives, `negative_ratio` for each positive of the
    image, rounded down (hard negative mining); the others are ignored. A `negative_ratio` of -1
    keeps all as background. An image without objects has all its anchors ignored either way.

    The first row of `label` with class -1 ends an image's objects; its first five values must all
    be -1, or running raises MXNetError. Columns behind the fifth are not read. MXNet takes
    44 * B * N * M bytes for this.
    """
    from ssdreg.mx import mx
    outputs = mx.sym.contrib.MultiBoxTarget(
        anchors, label, cls_pred, overlap_threshold=0.5, ignore_label=IGNORE,
        negative_mining_ratio=negative_ratio, negative_mining_thresh=0.5,
        minimum_negative_samples=0, variances=variances, name=name)
    return Targets(outputs[0], outputs[1], outputs[2])
