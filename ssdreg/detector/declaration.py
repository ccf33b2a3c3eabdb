"""A backbone's declaration, proven: does it name the end of every stage, and use what it has?

A tap that is forgotten loses more than one that is wrong: without the last one, detection never
reaches the last stage, where most of a network's weights are, and every tap that is there passes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ssdreg.detector.built import BuiltBackbone, SizedBackbone
from ssdreg.errors import DetectorWarning
from ssdreg.graph.stages import StageEnd, backbone_end, beyond, tappable_ends
from ssdreg.graph.symbol import Graph
from ssdreg.graph.taps import (
    Verification,
    as_pair,
    branches,
    complaints_about,
    refusal,
    stride_text,
    verification,
)
from ssdreg.registry.backbone import Backbone, Tap

if TYPE_CHECKING:
    from ssdreg.detector.plan import Plan

#: The share of a backbone's weights that detection must use, unless the backbone says why not.
#: The published SSDs of the example and of GluonCV that are right use 99 % and more; those with a
#: tap inside the network 72 % and 79 %.
LEAST_COVERAGE = 0.8
#: Cells a side that the finest level of a detector has at least. The published ones have 19 to 64.
LEAST_CELLS = 4


def verify_backbone(backbone: Backbone, data_shape: int | tuple[int, int]) -> Verification:
    """Prove that a backbone declares the end of every stage, and nothing else.

    `data_shape` is a side in pixels or (height, width). Taps that are not declared are found
    first. The coverage returned is that of the taps which feed detection by default at this size.
    Works on the graph and its inferred shapes; needs no weights and binds nothing.

    Raises TapError with every complaint of :func:`ssdreg.verify`, and those of a declaration that
    is not complete: a stage end that is not declared, or a trunk that goes on behind the last tap
    by more than a normalisation, an activation, a pooling and one 1x1 convolution. What lies behind
    ``stops_at`` and in front of ``starts_at`` may be left out. Raises InputShapeError when the
    backbone does not accept this size.
    """
    return prove(BuiltBackbone.of(backbone).at(as_pair(data_shape)))


def prove(sized: SizedBackbone) -> Verification:
    """Do what :func:`verify_backbone` does of a backbone that was built before."""
    graph, backbone = sized.graph, sized.backbone
    names = backbone.nodes_at(sized.data_shape)
    complaints = complaints_about(graph, backbone.taps)
    if not complaints:
        complaints = _missing(graph, backbone)
    if complaints:
        raise refusal(graph, names, complaints)
    return verification(graph, names)


def unused(backbone: Backbone, verification: Verification) -> str:
    """Say what detection by default leaves unused, if it is much and `stops_at` does not say why.

    `backbone` has its taps, `verification` is what :func:`verify_backbone` returned of it.
    """
    if backbone.stops_at is not None or verification.coverage >= LEAST_COVERAGE:
        return ""
    coarsest = next(tap for tap in backbone.taps if tap.node == verification.taps[-1])
    coarser = [str(tap.stride) for tap in backbone.taps if tap.stride > coarsest.stride]
    mend = f"add stride {' and '.join(coarser)} to tap_strides, or say" if coarser else "say"
    return (f"detection uses {verification.coverage:.1%} of the backbone's weights "
            f"({verification.weights_used:,} of {verification.weights:,}), less than "
            f"{LEAST_COVERAGE:.0%}: what lies behind {coarsest.node!r} feeds nothing; {mend} why "
            f"not with stops_at=ssdreg.StopsAt({coarsest.stride}, \"the reason\")")


def tell_unused(sized: SizedBackbone, verification: Verification) -> None:
    """Warn of what a detector's taps leave unused, unless the backbone itself says why.

    `verification` is that of the taps which were chosen for this one detector.
    """
    backbone = sized.backbone
    stated = (backbone.stops_at is not None
              and set(verification.taps) == set(backbone.nodes_at(sized.data_shape)))
    if verification.coverage < LEAST_COVERAGE and not stated:
        warnings.warn(
            f"this detector uses {verification.coverage:.1%} of the weights of {backbone.name} "
            f"({verification.weights_used:,} of {verification.weights:,}): what lies behind "
            f"{verification.taps[-1]!r} feeds nothing", DetectorWarning, stacklevel=4)


def tell_small(plan: Plan) -> None:
    """Warn of an input so small that the finest level has next to no cells."""
    finest, (height, width) = plan.levels[0], plan.data_shape
    if min(finest.height, finest.width) < LEAST_CELLS:
        warnings.warn(
            f"the finest level of this detector has {finest.height}x{finest.width} cells at an "
            f"input of {height}x{width} pixels, and can tell no two objects apart: give a larger "
            f"data_shape, or finer tap_strides", DetectorWarning, stacklevel=4)


def _missing(graph: Graph, backbone: Backbone) -> list[str]:
    """Say what of the network is not declared, for taps that are right as far as they go."""
    taps = backbone.taps
    by_stride = {tap.stride: tap for tap in taps}
    stop = backbone.stops_at.stride if backbone.stops_at else None
    missing = [end for end in tappable_ends(graph) if end.stride not in by_stride
               and not (stop is not None and end.stride > stop)
               and not (backbone.starts_at is not None and end.stride < backbone.starts_at)]
    complaints = [_undeclared(end, taps) for end in missing]
    for end in tappable_ends(graph):
        if end.stride in by_stride:
            complaints += _short(graph, by_stride[end.stride], end)
    if stop is not None:
        return complaints
    parted = branches(graph)
    if parted:
        complaints.append(f"the network is no chain of stages: {parted}")
    coarsest = graph.find(taps[-1].node)
    assert coarsest is not None  # a tap without a node is a complaint, and there is none
    more = beyond(graph, coarsest)
    if more is not None and not any(end.stride > taps[-1].stride for end in missing):
        last = backbone_end(graph)
        complaints.append(
            f"the trunk goes on behind the last tap, {taps[-1].node!r}, with {more.name!r} (stride "
            f"{stride_text(more.stride)}) up to {last.name if last else ''!r}: declare where that "
            f"ends, or say with stops_at why it is left out")
    return complaints


def _short(graph: Graph, tap: Tap, end: StageEnd) -> list[str]:
    """Say what of its last block a tap leaves out: a pointwise convolution, an activation.

    Whoever chooses layers for one detector may take such a node; a declaration names the end. A
    node behind it, such as the normalisation that opens the next block, has all of the stage.
    """
    node, last = graph.find(tap.node), graph.find(end.node)
    assert node is not None
    assert last is not None
    if node.index >= last.index:
        return []
    return [f"{tap.node!r} is not quite the end of stage {tap.stage} (stride {tap.stride}): "
            f"{last.name!r} still belongs to its last block"]


def _undeclared(end: StageEnd, taps: Sequence[Tap]) -> str:
    what = f"{end.node!r} (stride {end.stride}, {end.channels} channels)"
    if end.stride < taps[0].stride:
        return (f"the first tap is missing: {what} ends a stage in front of {taps[0].node!r} and "
                f"is not declared")
    if end.stride > taps[-1].stride:
        return (f"the last tap is missing: {what} ends a stage behind {taps[-1].node!r} and is not "
                f"declared")
    return f"a tap is missing: {what} ends a stage and is not declared"
