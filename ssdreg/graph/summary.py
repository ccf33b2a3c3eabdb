"""What a backbone is made of: stages, blocks, parameters and multiply-adds, read from the graph.

The cuts are the ends of stages that `ssdreg.graph.taps` proves, and inside a stage the ends of its
blocks by the same rule. All of them lie on the trunk, so that what one of them is computed from
holds what the one before it is computed from: the differences are the parts, every node belongs
to one of them, and their sums are the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.errors import TapError
from ssdreg.graph.operators import CONVOLUTIONS, POOLINGS
from ssdreg.graph.stages import backbone_end, finish, stage_ends
from ssdreg.graph.symbol import Graph, ShapedNode, read_graph
from ssdreg.registry.backbone import Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Which input of an operator is its weight, for the operators that multiply by one.
WEIGHT_INPUT = {"Convolution": 1, "Convolution_v1": 1, "Deconvolution": 1, "FullyConnected": 1,
                "_contrib_DeformableConvolution": 2, "_contrib_ModulatedDeformableConvolution": 3}


@frozen
class Part:
    """Some nodes of a network: the values in their parameters, and what they cost.

    `parameters` counts arguments and auxiliary states. `multiply_adds` are those of convolutions
    and matrix products for one image; additions of a bias, normalisation, activations and pooling
    are left out, as they are from published figures. `members` are indices into the graph.
    """

    parameters: int
    multiply_adds: int
    members: frozenset[int] = field(repr=False)


@frozen
class Block(Part):
    """A unit of a stage (residual unit, concatenation, convolution): a map, and what makes it."""

    node: str
    channels: int
    height: int
    width: int


@frozen
class Stage:
    """The blocks up to one stage end. Pooling and transitions in front of it belong to it.

    `number` is the declared tap's, else the position, from 1; `tap` tells whether a tap is
    declared here.
    """

    number: int
    stride: int
    tap: bool
    blocks: tuple[Block, ...]

    @property
    def end(self) -> Block:
        """The last block, whose map is the stage's."""
        return self.blocks[-1]

    @property
    def parameters(self) -> int:
        """The values in the parameters of all its blocks."""
        return sum(block.parameters for block in self.blocks)

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of all its blocks."""
        return sum(block.multiply_adds for block in self.blocks)


@frozen
class Anatomy:
    """A network taken apart: its stages, the `tail` of maps behind the last, the `classifier`."""

    data_shape: tuple[int, int]
    stages: tuple[Stage, ...]
    tail: Part
    classifier: Part

    @property
    def backbone(self) -> tuple[Part, ...]:
        """Everything but the classifier, in order: the blocks of all stages, and the tail."""
        return (*(block for stage in self.stages for block in stage.blocks), self.tail)

    @property
    def parameters(self) -> int:
        """The values in all parameters of the network."""
        return sum(part.parameters for part in (*self.backbone, self.classifier))

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the whole network."""
        return sum(part.multiply_adds for part in (*self.backbone, self.classifier))


def anatomy(symbol: mx.sym.Symbol, data_shape: tuple[int, int],
            taps: Sequence[Tap] = ()) -> Anatomy:
    """Take a backbone's own symbol apart, as it is for an input of (height, width).

    A stage ends at its declared tap, or where the graph shows its end. Nothing is bound, no
    weights are needed. Raises TapError when the graph has no stages, InputShapeError when it
    does not accept this shape.
    """
    return dissect(read_graph(symbol, data_shape), data_shape, taps)


def dissect(graph: Graph, data_shape: tuple[int, int], taps: Sequence[Tap] = ()) -> Anatomy:
    """Do what :func:`anatomy` does on a graph that was read before."""
    declared = {tap.stride: tap for tap in taps}
    stages: list[Stage] = []
    done = frozenset[int]()
    start = -1
    for position, stage_end in enumerate(stage_ends(graph), start=1):
        tap = declared.get(stage_end.stride)
        end = _declared_end(graph, tap) or graph.find(stage_end.node)
        assert end is not None
        blocks = []
        for node in _block_ends(graph, start, end):
            reached = graph.upstream([node])
            part = _part(graph, reached - done)
            blocks.append(Block(part.parameters, part.multiply_adds, part.members, node.name,
                                node.channels, node.shape[2], node.shape[3]))
            done = reached
        start = end.index
        stages.append(Stage(tap.stage if tap else position, stage_end.stride, tap is not None,
                            tuple(blocks)))
    if not stages:
        raise TapError("the network has no stages: no convolution or block on the way that every "
                       "path takes makes a map")
    end_of_backbone = backbone_end(graph)
    assert end_of_backbone is not None  # there are stages
    backbone = graph.upstream([end_of_backbone]) | done
    everything = {node.index for node in graph.nodes}
    return Anatomy(data_shape, tuple(stages), _part(graph, backbone - done),
                   _part(graph, everything - backbone))


def multiply_adds(graph: Graph, node: ShapedNode) -> int:
    """Count the multiplications that one node takes for one image, each with its addition."""
    if node.op not in WEIGHT_INPUT:
        return 0
    weight = math.prod(graph.nodes[node.sources[WEIGHT_INPUT[node.op]]].shape)
    if node.op in CONVOLUTIONS:
        return weight * math.prod(node.shape[2:])
    if node.op == "Deconvolution":  # every value that goes in is multiplied by its filters
        return weight * math.prod(graph.nodes[node.sources[0]].shape[2:])
    return weight * math.prod(node.shape[1:-1])  # a FullyConnected may keep axes between


def _part(graph: Graph, indices: Iterable[int]) -> Part:
    members = frozenset(indices)
    # the label of a training output is a variable too, but nothing that is learnt
    learnt = (index for index in members if not graph.nodes[index].name.endswith("label"))
    return Part(graph.weights(learnt),
                sum(multiply_adds(graph, graph.nodes[index]) for index in members), members)


def _declared_end(graph: Graph, tap: Tap | None) -> ShapedNode | None:
    """Return a tap's node if it can be a cut: on the trunk, and at the stride it declares."""
    node = graph.find(tap.node) if tap else None
    if tap is None or node is None or node.index not in graph.wiring.on_trunk:
        return None
    return node if node.stride == (tap.stride, tap.stride) else None


def _block_ends(graph: Graph, start: int, end: ShapedNode) -> list[ShapedNode]:
    """Return the nodes that end blocks behind the node `start`, up to the stage's `end`.

    A pooling ends no block: it goes with the one behind it.
    """
    stage = [graph.nodes[index] for index in graph.trunk
             if start < index <= end.index and not graph.nodes[index].is_variable]
    ends = set()
    ahead: list[ShapedNode] = []  # what lies between a node and the next that does a block's work
    for node in reversed(stage):
        ahead.insert(0, node)
        if graph.mixes(node):
            if node.op not in POOLINGS:
                ends.add(finish(graph, ahead, node).index)
            if not graph.gates(node):  # which is a block's last but one step
                ahead = []
    # the last block takes all there is before the stage's end
    last = max(ends, default=end.index)
    return [graph.nodes[index] for index in sorted(ends - {last} | {end.index})]

