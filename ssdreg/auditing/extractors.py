"""Audit of a detector whose feature maps come from an extractor of its own.

There is no list of layer names to look up: the levels are the extractor's outputs, some of them
behind a branch (an L2 normalisation), the last ones made behind the backbone. Which layers are
tapped, and whether they are ends of stages, is read off the extractor's graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.auditing.audited import (
    ALTERED,
    RIGHT,
    WRONG,
    Audited,
    as_layer,
    right_layers,
    undecided,
    weights_used,
    without_prefix,
)
from ssdreg.errors import TapError
from ssdreg.graph.operators import CONVOLUTIONS
from ssdreg.graph.stages import stage_ends
from ssdreg.graph.symbol import Graph, ShapedNode, read_graph
from ssdreg.graph.taps import verify

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class LevelTap:
    """A node on the extractor's trunk, and the operators between it and the level that it feeds."""

    node: ShapedNode
    branch: tuple[ShapedNode, ...]


def judge_extractor(preset: str, network: str, outputs: Sequence[mx.sym.Symbol],
                    classifier: mx.sym.Symbol | None, data_shape: tuple[int, int]) -> Audited:
    """Judge the taps behind the `outputs` of a feature extractor, the finest first.

    `classifier` is the classification network that it was made from, where there is one. A tap that
    is no stage end in the extractor, but is one in the classifier, is ``altered``. Raises TapError
    for a level that does not depend on the input ``data``.
    """
    graph = read_graph(outputs[-1], data_shape)
    levels = [_tap_of_level(graph, read_graph(output, data_shape)) for output in outputs]
    taps = _backbone_taps(graph, levels)
    if not taps:
        return undecided(preset, network, data_shape, (), "its finest level is no feature map")
    names = [tap.node.name for tap in taps]
    branching = next((tap for tap in taps if tap.branch), None)
    if branching is not None:
        return undecided(preset, network, data_shape, names,
                         f"a level is computed by a branch of its own from "
                         f"{branching.node.name!r}, with {branching.branch[-1].name!r} in it")
    declared = tuple(as_layer(tap.node) for tap in taps)
    reasons, verdicts = [], [RIGHT]
    for tap in taps:
        later_nodes = _later_nodes(graph, tap.node)
        if later_nodes:
            ends = classifier is not None and _ends_stage_of(classifier, tap.node.name, data_shape)
            verdicts.append(ALTERED if ends else WRONG)
            reasons.append(_reason(graph, tap.node, later_nodes, network if ends else ""))
    verdict = next(verdict for verdict in (WRONG, ALTERED, RIGHT) if verdict in verdicts)
    audited = Audited(
        preset=preset, network=network, data_shape=data_shape, declared=declared, verdict=verdict,
        right=declared if verdict == RIGHT else right_layers(stage_ends(graph), declared),
        weights_used=weights_used(graph, names), weights=weights_used(graph, names[-1:]),
        reasons=tuple(reasons))
    prefix = _shared_prefix([*names, *(layer.name for layer in audited.right)])
    return without_prefix(audited, prefix)


def _tap_of_level(graph: Graph, level: Graph) -> LevelTap:
    """Return the node of the extractor's trunk that a level is computed from."""
    trunk = {graph.nodes[index].name: graph.nodes[index] for index in graph.trunk}
    branch: list[ShapedNode] = []
    for index in reversed(level.trunk):
        node = level.nodes[index]
        if node.name in trunk:
            return LevelTap(trunk[node.name], tuple(branch))
        if level.mixes(node) or node.op in CONVOLUTIONS:
            branch.append(node)
    raise TapError("a level of the feature extractor does not depend on its input")


def _backbone_taps(graph: Graph, levels: Sequence[LevelTap]) -> list[LevelTap]:
    """Drop the levels behind the backbone: a 1x1 convolution and one more, or a mean."""
    kept: list[LevelTap] = []
    for level in levels:
        if level.node.stride is None or (kept and _is_extra(graph, kept[-1].node, level.node)):
            break
        kept.append(level)
    return kept


def _is_extra(graph: Graph, before: ShapedNode, level: ShapedNode) -> bool:
    between = [graph.nodes[index] for index in graph.trunk
               if before.index < index <= level.index
               and graph.nodes[index].op in CONVOLUTIONS]
    return len(between) == 2 and between[0].kernel == 1


def _later_nodes(graph: Graph, tap: ShapedNode) -> list[ShapedNode]:
    """Return the trunk's operators behind a tap that work on maps of the same size."""
    behind = (graph.nodes[index] for index in graph.trunk if index > tap.index)
    return [node for node in behind if graph.mixes(node) and node.shape[2:] == tap.shape[2:]]


def _ends_stage_of(classifier: mx.sym.Symbol, name: str, data_shape: tuple[int, int]) -> bool:
    """Tell whether the node of this name, without the detector's prefix, ends a stage there."""
    graph = read_graph(classifier, data_shape)
    node = next((node for node in graph.nodes if not node.is_variable
                 and f"_{name}".endswith(f"_{node.name}")), None)
    if node is None:
        return False
    try:
        return bool(verify(classifier, [node.name], data_shape).taps)
    except TapError:
        return False


def _reason(graph: Graph, tap: ShapedNode, later_nodes: Sequence[ShapedNode], network: str) -> str:
    merges = [node for node in later_nodes if graph.merges(node)]
    following = (f"{len(merges)} units follow" if len(merges) > 1 else
                 "1 unit follows" if merges else f"{later_nodes[-1].name!r} follows")
    height, width = tap.shape[2:]
    description = f"{following} on maps of the same {height}x{width} cells"
    if not network:
        return f"{tap.name!r} is not the end of its stage: {description}"
    return (f"{tap.name!r} is the end of a stage of {network}, but the detector took a stride "
            f"away: {description}")


def _shared_prefix(names: Sequence[str]) -> str:
    """Return the common prefix of different names, up to an underscore."""
    if len(set(names)) < 2:
        return ""
    parts = zip(*(name.split("_") for name in names))
    return "".join(f"{part[0]}_" for part in takewhile(lambda part: len(set(part)) == 1, parts))
