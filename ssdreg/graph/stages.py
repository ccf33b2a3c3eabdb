"""The stages of a network: the trunk, cut where the resolution changes, and where each one ends.

A stage's end is where the work of its last block is complete; `ssdreg.graph.taps` proves taps by
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from attrs import frozen

from ssdreg.graph.operators import CONVOLUTIONS, ELEMENTWISE, POOLINGS, is_scalar
from ssdreg.graph.symbol import Graph, ShapedNode

_NORMS = {"BatchNorm", "BatchNorm_v1", "LayerNorm", "GroupNorm", "InstanceNorm"}


@frozen
class StageEnd:
    """The right tap of one stage, as the graph shows it.

    `units` counts the stage's merges on the trunk (residual sums, concatenations).
    """

    stride: int
    node: str
    channels: int
    height: int
    width: int
    units: int


_Found = TypeVar("_Found")


def _once(work_out: Callable[[Graph], _Found]) -> Callable[[Graph], _Found]:
    """Remember what is worked out of a graph for as long as the graph itself is kept."""
    known: WeakKeyDictionary[Graph, _Found] = WeakKeyDictionary()

    @wraps(work_out)
    def remembered(graph: Graph) -> _Found:
        if graph not in known:
            known[graph] = work_out(graph)
        return known[graph]

    return remembered


@_once
def stage_ends(graph: Graph) -> tuple[StageEnd, ...]:
    """Return the right tap of every stage that does some work, the finest first.

    What lies in front of the first convolution prepares the picture, and is no stage.
    """
    ends = []
    first = next((index for index, op in enumerate(graph.wiring.ops) if op in CONVOLUTIONS),
                 len(graph.nodes))
    for stage in cut_stages(graph):
        if stage[-1].index < first:
            continue
        working = [node for node in stage if graph.mixes(node)]
        # the first node of a stage is the one that drops the resolution: for a stage that does
        # nothing else (a pooling stem) there is nothing to tap
        if not working or (len(working) == 1 and working[0].op not in CONVOLUTIONS
                           and not graph.merges(working[0])):
            continue
        end = finish(graph, stage, working[-1])
        stride = (end.stride or (1, 1))[0]
        height, width = end.shape[2:]
        ends.append(StageEnd(stride, end.name, end.channels, height, width,
                             units=sum(graph.merges(node) for node in stage)))
    return tuple(ends)


@_once
def tappable_ends(graph: Graph) -> tuple[StageEnd, ...]:
    """Return the stage ends that can be tapped, the finest first, one a stride.

    Left out are those whose cells are not as high as they are wide, and those whose resolution the
    network comes back to on a later way up: a tap is the last map at its resolution.
    """
    ends: list[StageEnd] = []
    for end in stage_ends(graph):
        node = graph.find(end.node)
        assert node is not None
        if node.stride == (end.stride, end.stride):
            ends = [finer for finer in ends if finer.stride < end.stride] + [end]
    return tuple(ends)


def beyond(graph: Graph, last: ShapedNode) -> ShapedNode | None:
    """Return the first node on the trunk behind a stage's end that is more than may follow it.

    Normalisation, activation, dropout and pooling may, and one 1x1 convolution: the one that
    widens the last map for the classifier (Sandler et al., MobileNetV2, 2018). None where there
    is nothing else before the classifier.
    """
    end = backbone_end(graph)
    following = [node for node in graph.trunk_operators
                 if end is not None and last.index < node.index <= end.index]
    pointwise = [node for node in following if node.op in CONVOLUTIONS and node.kernel == 1]
    more = [node for node in following if graph.mixes(node) and node.op not in POOLINGS]
    return min((*more, *pointwise[1:]), key=lambda node: node.index, default=None)


@_once
def cut_stages(graph: Graph) -> tuple[tuple[ShapedNode, ...], ...]:
    """Cut the trunk where the resolution changes, up to where the picture ends."""
    stages: list[list[ShapedNode]] = []
    for node in graph.pictures:
        if not stages or stages[-1][-1].stride != node.stride:
            stages.append([])
        stages[-1].append(node)
    return tuple(map(tuple, stages))


def finish(graph: Graph, stage: Sequence[ShapedNode], last: ShapedNode) -> ShapedNode:
    """Walk from a stage's last working node to where its block is complete.

    A sum takes the activation right behind it (post-activation ResNets); a convolution its
    normalisation and activation, and one 1x1 convolution with its own (depthwise separable
    pairs, VGG's fc6 and fc7). What comes then belongs to the next block: the normalisation
    that opens a pre-activation unit, a transition, an expansion.
    """
    following = stage[stage.index(last) + 1:]
    if graph.merges(last):
        return _activated(graph, last, following)
    end, pointwise = last, False
    for node in following:
        if node.op in CONVOLUTIONS and not pointwise and not _expands(graph, last, node):
            pointwise = True
        elif not (node.op in _NORMS or _activates(graph, node)):
            break
        end = node
    return end


def _expands(graph: Graph, last: ShapedNode, pointwise: ShapedNode) -> bool:
    """Tell a 1x1 convolution that opens an inverted block from one that closes a pair.

    Both may stand in front of a depthwise one; behind a depthwise one or a gate it closes.
    """
    if last.grouped or graph.gates(last):
        return False
    following = next((node for node in graph.trunk_operators
                      if node.index > pointwise.index and node.op in CONVOLUTIONS), None)
    return following is not None and following.grouped


def _activated(graph: Graph, end: ShapedNode, following: Sequence[ShapedNode]) -> ShapedNode:
    """Walk over the activation right behind `end`, which may be several nodes: x * clip(x) / 6."""
    for node in following:
        if not _activates(graph, node):
            break
        end = node
    return end


def _activates(graph: Graph, node: ShapedNode) -> bool:
    joined = len(graph.data_inputs(node)) > 1 and not graph.merges(node)
    return joined or is_scalar(node.op) or (node.op in ELEMENTWISE and node.op != "Dropout")


def coverage(graph: Graph, names: Sequence[str]) -> tuple[int, int]:
    """Count the weights upstream of the taps, and of the whole backbone without classifier."""
    backbone, weights = _backbone(graph)
    return graph.weights(graph.upstream(names) & backbone), weights


@_once
def _backbone(graph: Graph) -> tuple[frozenset[int], int]:
    """Return the nodes in front of the classifier, and how many weights they have."""
    end = backbone_end(graph)
    backbone = graph.upstream([] if end is None else [end])
    return backbone, graph.weights(backbone)


@_once
def backbone_end(graph: Graph) -> ShapedNode | None:
    """Return the last node on the trunk before the classifier; None where there is no picture.

    A classifier may be a 1x1 convolution whose scores are averaged over the map (Lin et al.,
    Network In Network, 2013): the last layer with weights, and a pooling behind it.
    """
    pictures, trunk = graph.pictures, graph.trunk_operators
    last = [node for node in trunk if graph.weights(node.sources)][-1:]
    for before, node in zip(pictures, pictures[1:]):
        if ([node] == last and node.op in CONVOLUTIONS and node.kernel == 1
                and any(later.op in POOLINGS for later in trunk if later.index > node.index)):
            return before
    return pictures[-1] if pictures else None
