"""A symbol as a graph: nodes, inferred shapes, strides, and the trunk that every path takes.

Everything here is read from the symbol's nodes and MXNet's shape inference. Nothing is bound, no
weights are needed.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import InputShapeError, TapError
from ssdreg.graph.nodes import DATA, MAX_NODES, VARIABLE, Net, Node, reached
from ssdreg.graph.operators import (
    CONVOLUTIONS,
    CROPS,
    ELEMENTWISE,
    PADDINGS,
    POOLINGS,
    PRODUCTS,
    RESIZERS,
)

if TYPE_CHECKING:
    from ssdreg.mx import mx

Stride = tuple[int, int]


@frozen(eq=False, kw_only=True)
class ShapedNode(Node):
    """A node with its place in the graph, and what follows from the size of the input.

    `shape` is that of its first output; `stride` the input pixels (down, across) per cell of its
    map, None where the map is no longer a picture (after global pooling or flattening);
    `from_data` tells what is computed from the input, and the input itself, from parameters.
    """

    index: int
    shape: tuple[int, ...]
    stride: Stride | None
    from_data: bool

    @property
    def channels(self) -> int:
        """Channels of the map (NCHW)."""
        return self.shape[1]

    @property
    def grouped(self) -> bool:
        """Tell whether this is a convolution in groups, as a depthwise one is."""
        return self.attrs.integer("num_group", 1) > 1


@frozen(eq=False)
class Graph:
    """A symbol's nodes in topological order; `trunk` are the indices every path runs through."""

    nodes: tuple[ShapedNode, ...]
    trunk: tuple[int, ...]

    def find(self, name: str) -> ShapedNode | None:
        """Return the node called `name` (``_output`` at its end does not count)."""
        bare = name[:-len("_output")] if name.endswith("_output") else name
        return next((node for node in self.nodes if node.name in (name, bare)), None)

    def count(self, name: str) -> int:
        """Count the operators called `name`: MXNet reads a symbol at no name that is not unique."""
        return sum(node.op != VARIABLE and node.name == name for node in self.nodes)

    def suggest(self, name: str) -> str:
        """Say which nodes somebody may have meant who wrote `name`, of which there is none."""
        operators = [node.name for node in self.nodes if node.op != VARIABLE]
        close = difflib.get_close_matches(name, operators, n=3)
        return (f"did you mean {' or '.join(map(repr, close))}?" if close else
                f"the last ones are {', '.join(map(repr, operators[-3:]))}.")

    def upstream(self, nodes: Iterable[str | ShapedNode]) -> frozenset[int]:
        """Return the indices of these nodes, or those so called, and of all they come from."""
        found = (node if isinstance(node, ShapedNode) else self.find(node) for node in nodes)
        return reached((node.index for node in found if node is not None),
                       lambda index: self.nodes[index].sources)

    def weights(self, indices: Iterable[int]) -> int:
        """Count the values in the parameters among these nodes."""
        return sum(math.prod(self.nodes[index].shape) for index in indices
                   if self.nodes[index].op == VARIABLE and not self.nodes[index].from_data)

    def parameters(self, indices: Iterable[int] | None = None) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters among these nodes, by name; of all where None."""
        return {node.name: node.shape for node in (
                    self.nodes if indices is None else (self.nodes[each] for each in indices))
                if node.op == VARIABLE and not node.from_data}

    def data_inputs(self, node: ShapedNode) -> list[ShapedNode]:
        """Return the inputs of a node that depend on the data (parameters left out)."""
        return [self.nodes[index] for index in node.sources if self.nodes[index].from_data]

    def merges(self, node: ShapedNode) -> bool:
        """Tell whether a node brings branches together, as a residual sum or a concat does.

        What joins two ways of the same value, such as ``x * sigmoid(x)``, is an activation, and
        a product of branches a gate.
        """
        return node.op not in PRODUCTS and self._joins(node)

    def gates(self, node: ShapedNode) -> bool:
        """Tell whether a node scales a branch by what another computed, as SE blocks do."""
        return node.op in PRODUCTS and self._joins(node)

    def _joins(self, node: ShapedNode) -> bool:
        """Tell whether anything but activations lies between the trunk and a node's inputs."""
        if len(self.data_inputs(node)) < 2:
            return False
        # what was seen too: two ways to one node, node after node, are many ways
        passed = set(self.trunk)
        waiting = self.data_inputs(node)
        while waiting:
            before = waiting.pop()
            if before.index in passed:
                continue
            passed.add(before.index)
            if not (before.op in ELEMENTWISE | PRODUCTS or is_scalar(before)):
                return True
            waiting.extend(self.data_inputs(before))
        return False

    def mixes(self, node: ShapedNode) -> bool:
        """Tell whether a node still does a stage's work: merges, or looks beyond its own cell.

        A gate does look: what it scales by is computed from the whole map.
        """
        return node.kernel > 1 or self.merges(node) or self.gates(node)


def is_scalar(node: ShapedNode) -> bool:
    """Tell whether a node is an operator with a number: ``x / 6``."""
    return node.op.endswith("_scalar")


def read_graph(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> Graph:
    """Read a symbol whose input ``data`` is (1, 3, height, width) of `data_shape`.

    Raises TapError when the symbol has no input ``data`` or too many nodes, InputShapeError when
    it does not accept this shape; a classifier that does not, behind all convolutions, is left
    without shapes.
    """
    net = Net.of(symbol)
    if len(net.nodes) > MAX_NODES:
        raise TapError(f"the symbol has {len(net.nodes):,} nodes: no network has more than "
                       f"{MAX_NODES:,}")
    # what is not computed into a convolution above 1x1 is behind the last stage's work: a
    # classifier, most of it
    working = net.upstream(*(index for index in net.find(*CONVOLUTIONS)
                             if net.nodes[index].kernel > 1))
    shapes = _infer(symbol, net, working, data_shape)
    nodes: list[ShapedNode] = []
    for index, node in enumerate(net.nodes):
        shape = _take(shapes, node)
        before = [nodes[source] for source in node.sources if nodes[source].from_data]
        is_data = node.op == VARIABLE and node.name == DATA
        nodes.append(ShapedNode(
            op=node.op, name=node.name, attrs=node.attrs, inputs=node.inputs, index=index,
            shape=shape, from_data=is_data or bool(before),
            stride=(1, 1) if is_data else _stride(node, shape, before, last=index not in working)))
    return Graph(tuple(nodes), _trunk(nodes, [index for index, _ in net.heads]))


def _infer(symbol: mx.sym.Symbol, net: Net, working: Collection[int],
           data_shape: tuple[int, int]) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of all that a symbol computes, by name.

    Several outputs share a name where a network uses one activation at several places; their
    shapes come in the order of the nodes. Where only the classifier does not accept the input
    (its pooling is larger than the map, say), what the classifier computes is left out.
    """
    from ssdreg.mx import mx
    if DATA not in symbol.list_arguments():
        raise TapError(f"the symbol has no input called {DATA!r}: it has "
                       f"{', '.join(symbol.list_inputs()[:3])}, ...")
    part, lost = symbol.get_internals(), set[str]()
    while True:
        try:
            # the partial inference infers just as much, and does not print when it fails
            _, shapes, _ = part.infer_shape_partial(**{DATA: (1, 3, *data_shape)})
            break
        except mx.MXNetError as error:
            complaint = _not_accepted(error, data_shape)
            beyond = _classifier_from(net, working, complaint.node)
            if not beyond - lost:
                raise complaint from error
            lost |= beyond
            part = mx.sym.Group([output for output in part if output.name not in lost])
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in zip(part.list_outputs(), shapes or ()):
        found.setdefault(name, []).append(tuple(shape))
    return found


def _not_accepted(error: Exception, data_shape: tuple[int, int]) -> InputShapeError:
    """Put MXNet's report of a failed inference into a sentence."""
    where = re.search(r"Error in operator ([^\s:]+)", str(error))
    node = where.group(1) if where else None
    # MXNet writes "condition in C++: what it means"
    reason = str(error).splitlines()[-1].rpartition("Check failed: ")[2].strip()
    reason = reason.partition(": ")[2] or reason
    return InputShapeError(
        f"the backbone does not accept an input of {data_shape[0]}x{data_shape[1]} pixels"
        f"{f', at node {node!r}' if node else ''}: {reason}", node)


def _classifier_from(net: Net, working: Collection[int], name: str | None) -> set[str]:
    """Return the names of a node and all behind it; none if there is still work among them."""
    behind = net.downstream(*(index for index, node in enumerate(net.nodes) if node.name == name))
    return {net.name(index) for index in behind} if behind.isdisjoint(working) else set()


def _take(shapes: dict[str, list[tuple[int, ...]]], node: Node) -> tuple[int, ...]:
    """Take the shape of the next node so called, of its first output; () if unknown."""
    # an operator's first output is name_output, or name_output0 when there are several;
    # variables appear under their own name
    for suffix in ("",) if node.op == VARIABLE else ("_output", "_output0"):
        if shapes.get(node.name + suffix):
            return shapes[node.name + suffix].pop(0)
    return ()


def _stride(node: Node, shape: tuple[int, ...], before: Sequence[ShapedNode],
            last: bool) -> Stride | None:
    """Work out a node's stride from its inputs' and its own settings.

    `last` tells that no convolution above 1x1 comes behind it.

    Settings are exact where shapes are not: an unpadded 3x3 convolution takes two pixels off
    the map but the distance between its cells stays the same.
    """
    pictures = [each for each in before if each.stride is not None]
    if not pictures:
        return None
    op, attrs = node.op, node.attrs
    coarsest = max(pictures, key=lambda each: math.prod(each.stride or (0, 0)))
    down, across = coarsest.stride or (1, 1)
    height, width = coarsest.shape[-2:]
    if len(shape) == 5 and shape[3:] == (height, width):
        return down, across  # channels in groups, on their way through a channel shuffle
    if len(shape) != 4:
        return None
    if op in POOLINGS and _is_global(node, coarsest.shape, last):
        return None
    if op in CONVOLUTIONS | POOLINGS:
        step_down, step_across = attrs.pair("stride", 1)
        return down * step_down, across * step_across
    if op in PADDINGS:
        return down, across
    if op in CROPS:
        steps = [1 if step is None else abs(step) for step in attrs.sequence("step")]
        step_down, step_across = steps[2:] if len(steps) == 4 else (1, 1)
        return down * step_down, across * step_across
    if shape[2:] == (1, 1) and height * width > 1:
        return None  # a mean over the map, or a reshape: a picture no more
    if op not in RESIZERS and (shape[2] > height or shape[3] > width):
        return None
    return (max(1, round(down * height / shape[2])), max(1, round(across * width / shape[3])))


def _is_global(node: Node, shape: tuple[int, ...], last: bool) -> bool:
    """Tell whether a pooling takes in the whole map: by its setting, or an average by its size.

    The last average is meant to, even if the map of a larger input than usual is left in pieces.
    """
    if node.attrs.flag("global_pool"):
        return True
    down, across = node.attrs.pair("kernel", 1)
    return (node.attrs.text("pool_type") == "avg" and max(down, across) > 3
            and (last or (down >= shape[2] and across >= shape[3])))


def _trunk(nodes: Sequence[ShapedNode], heads: Sequence[int]) -> tuple[int, ...]:
    """Find the nodes on every path from the data to the outputs.

    Counts paths: a node that as many paths run through as there are in all lies on each of
    them. The counts of a deep network have hundreds of digits, which Python's integers hold
    exactly.
    """
    ways_to = [0] * len(nodes)    # from the data to a node
    ways_from = [0] * len(nodes)  # from a node to the outputs
    for node in nodes:
        if node.op == VARIABLE:
            ways_to[node.index] = 1 if node.from_data else 0
        else:
            ways_to[node.index] = sum(ways_to[index] for index in node.sources)
    for index in heads:
        ways_from[index] += 1
    for node in reversed(nodes):
        for index in node.sources:
            ways_from[index] += ways_from[node.index]
    total = sum(ways_to[index] for index in heads)
    return tuple(node.index for node in nodes
                 if node.from_data and ways_to[node.index] * ways_from[node.index] == total)
