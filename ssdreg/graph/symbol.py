"""A symbol as a graph: nodes, inferred shapes, strides, and the trunk that every path takes.

Everything here is read from the symbol's nodes and MXNet's shape inference. Nothing is bound, no
weights are needed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, overload

from attrs import frozen

from ssdreg.graph.nodes import VARIABLE, Node
from ssdreg.graph.operators import PRODUCTS
from ssdreg.graph.shapes import Shape, Stride, infer_shapes, infer_strides
from ssdreg.graph.wiring import Wiring, read_wiring

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False, kw_only=True)
class ShapedNode(Node):
    """A node with its place in the graph, and what follows from the size of the input.

    `shape` is that of its first output; `stride` the input pixels (down, across) per cell of its
    map, None where the map is no longer a picture (after global pooling or flattening);
    `from_data` tells what is computed from the input, and the input itself, from parameters.
    """

    index: int
    shape: Shape
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


class Nodes(Sequence[ShapedNode]):
    """The nodes of a graph. Each is made when it is first looked at: most never are."""

    def __init__(self, wiring: Wiring, shapes: Sequence[Shape], strides: Sequence[Stride | None]
                 ) -> None:
        self._wiring, self._shapes, self._strides = wiring, shapes, strides
        self._made: list[ShapedNode | None] = [None] * len(shapes)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, index: int) -> ShapedNode: ...

    @overload
    def __getitem__(self, index: slice) -> list[ShapedNode]: ...

    def __getitem__(self, index: int | slice) -> ShapedNode | list[ShapedNode]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        node = self._made[index]
        if node is None:
            node = self._made[index] = self._make(range(len(self))[index])
        return node

    def _make(self, index: int) -> ShapedNode:
        node = self._wiring.columns.node(index)
        return ShapedNode(
            op=node.op, name=node.name, attrs=node.attrs, inputs=node.inputs, index=index,
            shape=self._shapes[index], stride=self._strides[index],
            from_data=self._wiring.data_sources[index] is not None)


# without slots: cached properties need a __dict__
@frozen(eq=False, slots=False)
class Graph:
    """A symbol for one input size: its wiring, and the shapes and strides of its nodes.

    A column has an entry for each node, in topological order.
    """

    wiring: Wiring
    shapes: Sequence[Shape]
    strides: Sequence[Stride | None]

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes, with all that is known of each."""
        return Nodes(self.wiring, self.shapes, self.strides)

    @property
    def trunk(self) -> tuple[int, ...]:
        """The indices every path from the data to the outputs runs through."""
        return self.wiring.trunk

    @cached_property
    def _values(self) -> Mapping[int, int]:
        """How many values each parameter has."""
        return {index: math.prod(self.shapes[index]) for index in self.wiring.parameters}

    @cached_property
    def trunk_operators(self) -> tuple[ShapedNode, ...]:
        """The operators on the trunk: all of it but the data themselves."""
        return tuple(self.nodes[index] for index in self.trunk
                     if self.wiring.ops[index] != VARIABLE)

    @cached_property
    def pictures(self) -> tuple[ShapedNode, ...]:
        """The operators on the trunk up to where the picture is pooled away."""
        return tuple(takewhile(lambda node: node.stride is not None, self.trunk_operators))

    def find(self, name: str) -> ShapedNode | None:
        """Return the node called `name` (``_output`` at its end does not count)."""
        first = self.wiring.first
        places = [first[spelling] for spelling in (name, name.removesuffix("_output"))
                  if spelling in first]
        return self.nodes[min(places)] if places else None

    def count(self, name: str) -> int:
        """Count the operators called `name`: MXNet cuts a symbol only at a unique name."""
        return self.wiring.operators.get(name, 0)

    def suggest(self, name: str) -> str:
        """Suggest the nodes whose names are closest to `name`, which no node has."""
        operators = [name for name, op in zip(self.wiring.names, self.wiring.ops)
                     if op != VARIABLE]
        close = difflib.get_close_matches(name, operators, n=3)
        return (f"did you mean {' or '.join(map(repr, close))}?" if close else
                f"the last ones are {', '.join(map(repr, operators[-3:]))}.")

    def upstream(self, nodes: Iterable[str | ShapedNode]) -> frozenset[int]:
        """Return the indices of these nodes, or nodes of these names, and of all upstream."""
        ends = (node if isinstance(node, ShapedNode) else self.find(node) for node in nodes)
        return self.wiring.upstream([node.index for node in ends if node is not None])

    def weights(self, indices: Iterable[int]) -> int:
        """Count the values in the parameters among these nodes."""
        return sum([self._values.get(index, 0) for index in indices])

    def parameters(self, indices: Iterable[int] | None = None) -> dict[str, Shape]:
        """Return the shapes of the parameters among these nodes, by name; of all where None."""
        parameters = self.wiring.parameters
        if indices is not None:
            among = frozenset(indices)
            parameters = [index for index in parameters if index in among]
        return {self.wiring.names[index]: self.shapes[index] for index in parameters}

    def data_inputs(self, node: ShapedNode) -> list[ShapedNode]:
        """Return the inputs of a node that depend on the data (parameters left out)."""
        return [self.nodes[index] for index in self.wiring.data_sources[node.index] or ()]

    def merges(self, node: ShapedNode) -> bool:
        """Tell whether a node brings branches together, as a residual sum or a concat does.

        What joins two ways of the same value, such as ``x * sigmoid(x)``, is an activation, and
        a product of branches a gate.
        """
        return node.op not in PRODUCTS and self.wiring.joins(node.index)

    def gates(self, node: ShapedNode) -> bool:
        """Tell whether a node scales a branch by what another computed, as SE blocks do."""
        return node.op in PRODUCTS and self.wiring.joins(node.index)

    def mixes(self, node: ShapedNode) -> bool:
        """Tell whether a node still does a stage's work: merges, or looks beyond its own cell.

        A gate does look: what it scales by is computed from the whole map.
        """
        return node.kernel > 1 or self.wiring.joins(node.index)


def read_graph(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> Graph:
    """Read a symbol whose input ``data`` is (1, 3, height, width) of `data_shape`.

    Raises TapError when the symbol has no input ``data`` or too many nodes, InputShapeError when
    it does not accept this shape; a classifier that does not, behind all convolutions, is left
    without shapes.
    """
    return graph_at(read_wiring(symbol), data_shape)


def graph_at(wiring: Wiring, data_shape: tuple[int, int]) -> Graph:
    """Do what :func:`read_graph` does of a symbol that was read before."""
    shapes = infer_shapes(wiring, data_shape)
    return Graph(wiring, shapes, infer_strides(wiring, shapes))
