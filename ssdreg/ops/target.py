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
    keeps all as background.

    An image without objects is a negative: all its anchors are background. With mining it keeps as
    many as the images with objects keep on average, and at least as many as one object has.
    MultiBoxTarget alone would ignore it.

    The first row of `label` with class -1 ends an image's objects; its first five values must all
    be -1, or running raises MXNetError. Columns behind the fifth are not read. MXNet takes
    44 * B * N * M bytes for this.
    """
    from ssdreg.mx import mx
    outputs = mx.sym.contrib.MultiBoxTarget(
        anchors, label, cls_pred, overlap_threshold=0.5, ignore_label=IGNORE,
        negative_mining_ratio=negative_ratio, negative_mining_thresh=0.5,
        minimum_negative_samples=0, variances=variances, name=name)
    cls_target = _with_negatives(outputs[2], label, cls_pred, negative_ratio, f"{name}_negatives")
    return Targets(outputs[0], outputs[1], cls_target)


def _with_negatives(cls_target: mx.sym.Symbol, label: mx.sym.Symbol, cls_pred: mx.sym.Symbol,
                    negative_ratio: float, name: str) -> mx.sym.Symbol:
    """Return the targets (B, N), with background where an image has no object.

    `cls_target` (B, N) is MultiBoxTarget's, which ignores every anchor of such an image.
    """
    from ssdreg.mx import mx
    sym = mx.sym
    first = sym.slice_axis(label, axis=1, begin=0, end=1, name=f"{name}_first")
    classes = sym.slice_axis(first, axis=2, begin=0, end=1, name=f"{name}_class")
    empty = sym.Flatten(classes, name=f"{name}_column") < 0.0  # (B, 1)
    if negative_ratio < 0:
        return sym.broadcast_maximum(cls_target, empty - 1.0, name=name)
    mined = sym.sum(cls_target == 0.0, axis=(0, 1), keepdims=True)  # (1, 1)
    with_objects = sym.sum(1.0 - empty, axis=(0, 1), keepdims=True)
    share = sym.maximum(sym.ceil(mined / sym.maximum(with_objects, 1.0)), negative_ratio)
    log_p = sym.log_softmax(sym.BlockGrad(cls_pred), axis=1, name=f"{name}_log_softmax")
    background = sym.Flatten(sym.slice_axis(log_p, axis=1, begin=0, end=1))  # (B, N)
    # the place of each anchor among those of its image, the hardest first
    place = sym.argsort(sym.argsort(background, axis=1), axis=1, name=f"{name}_place")
    hard = sym.broadcast_lesser(place, share)
    return sym.broadcast_maximum(cls_target, sym.broadcast_mul(hard, empty) - 1.0, name=name)
