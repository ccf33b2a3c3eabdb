"""A symbol as a graph: nodes, inferred shapes, strides, and the trunk that every path takes.

Everything here is read from the symbol's JSON and MXNet's shape inference. Nothing is bound, no
weights are needed.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.errors import InputShapeError, TapError

if TYPE_CHECKING:
    from ssdreg.mx import mx

DATA = "data"

#: Operators that work on each value alone: a merge of nothing but these is an activation
#: (x * sigmoid(x)), not the end of a block.
ELEMENTWISE = {
    "Activation", "LeakyReLU", "clip", "sigmoid", "hard_sigmoid", "relu", "tanh", "softsign",
    "Dropout", "Cast", "cast", "identity", "_copy", "BlockGrad", "erf", "exp", "sqrt", "square",
}
CONVOLUTIONS = {"Convolution", "Convolution_v1", "_contrib_DeformableConvolution",
                "_contrib_ModulatedDeformableConvolution"}
POOLINGS = {"Pooling", "Pooling_v1"}
RESIZERS = {"Deconvolution", "UpSampling", "_contrib_BilinearResize2D"}
PADDINGS = {"Pad", "pad"}
#: A product scales one branch by another (squeeze-and-excitation); it ends no block.
PRODUCTS = {"elemwise_mul", "_mul", "_Mul", "broadcast_mul"}

Stride = tuple[int, int]


@frozen(eq=False)
class Node:
    """One node: its operator (``null`` for a variable), its settings and the nodes it reads.

    `shape` is that of its first output; `stride` the input pixels (down, across) per cell of its
    map, None where the map is no longer a picture (after global pooling or flattening);
    `from_data` tells what is computed from the input, and the input itself, from parameters.
    """

    index: int
    name: str
    op: str
    attrs: Mapping[str, str] = field(repr=False)
    inputs: tuple[int, ...] = field(repr=False)
    shape: tuple[int, ...]
    stride: Stride | None
    from_data: bool

    @property
    def channels(self) -> int:
        """Channels of the map (NCHW)."""
        return self.shape[1]

    @property
    def kernel(self) -> int:
        """The longer side of a convolution's or pooling's kernel; 1 for everything else."""
        if self.op in CONVOLUTIONS | POOLINGS:
            return max(_pair(self.attrs.get("kernel", "(1, 1)")))
        return 1

    @property
    def grouped(self) -> bool:
        """Tell whether this is a convolution in groups, as a depthwise one is."""
        return int(self.attrs.get("num_group", "1")) > 1


@frozen(eq=False)
class Graph:
    """A symbol's nodes in topological order; `trunk` are the indices every path runs through."""

    nodes: tuple[Node, ...]
    trunk: tuple[int, ...]

    def find(self, name: str) -> Node | None:
        """Return the node called `name` (``_output`` at its end does not count)."""
        bare = name[:-len("_output")] if name.endswith("_output") else name
        return next((node for node in self.nodes if node.name in (name, bare)), None)

    def suggest(self, name: str) -> str:
        """Say which nodes somebody may have meant who wrote `name`, of which there is none."""
        operators = [node.name for node in self.nodes if node.op != "null"]
        close = difflib.get_close_matches(name, operators, n=3)
        return (f"did you mean {' or '.join(map(repr, close))}?" if close else
                f"the last ones are {', '.join(map(repr, operators[-3:]))}.")

    def upstream(self, names: Iterable[str]) -> set[int]:
        """Return the indices of these nodes and of all they are computed from."""
        waiting = [node.index for node in map(self.find, names) if node is not None]
        seen: set[int] = set()
        while waiting:
            index = waiting.pop()
            if index not in seen:
                seen.add(index)
                waiting.extend(self.nodes[index].inputs)
        return seen

    def weights(self, indices: Iterable[int]) -> int:
        """Count the values in the parameters among these nodes."""
        return sum(math.prod(self.nodes[index].shape) for index in indices
                   if self.nodes[index].op == "null" and not self.nodes[index].from_data)

    def data_inputs(self, node: Node) -> list[Node]:
        """Return the inputs of a node that depend on the data (parameters left out)."""
        return [self.nodes[index] for index in node.inputs if self.nodes[index].from_data]

    def merges(self, node: Node) -> bool:
        """Tell whether a node brings branches together, as a residual sum or a concat does.

        What joins two ways of the same value, such as ``x * sigmoid(x)``, is an activation, and
        a product of branches a gate.
        """
        return node.op not in PRODUCTS and self._joins(node)

    def gates(self, node: Node) -> bool:
        """Tell whether a node scales a branch by what another computed, as SE blocks do."""
        return node.op in PRODUCTS and self._joins(node)

    def _joins(self, node: Node) -> bool:
        """Tell whether anything but activations lies between the trunk and a node's inputs."""
        if len(self.data_inputs(node)) < 2:
            return False
        on_trunk = set(self.trunk)
        waiting = self.data_inputs(node)
        while waiting:
            before = waiting.pop()
            if before.index in on_trunk:
                continue
            if not (before.op in ELEMENTWISE | PRODUCTS or is_scalar(before)):
                return True
            waiting.extend(self.data_inputs(before))
        return False

    def mixes(self, node: Node) -> bool:
        """Tell whether a node still does a stage's work: merges, or looks beyond its own cell.

        A gate does look: what it scales by is computed from the whole map.
        """
        return node.kernel > 1 or self.merges(node) or self.gates(node)


def is_scalar(node: Node) -> bool:
    """Tell whether a node is an operator with a number: ``x / 6``."""
    return node.op.endswith("_scalar")


def read_graph(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> Graph:
    """Read a symbol whose input ``data`` is (1, 3, height, width) of `data_shape`.

    Raises TapError when the symbol has no input ``data``, InputShapeError when it does not accept
    this shape.
    """
    parsed = json.loads(symbol.tojson())
    shapes = _infer(symbol, data_shape)
    nodes: list[Node] = []
    for index, entry in enumerate(parsed["nodes"]):
        # "attr" and "param" are how older MXNet versions spelt "attrs"
        attrs = {**entry.get("param", {}), **entry.get("attr", {}), **entry.get("attrs", {})}
        inputs = tuple(reference[0] for reference in entry["inputs"])
        shape = shapes.get(entry["name"], ())
        before = [nodes[i] for i in inputs if nodes[i].from_data]
        is_data = entry["op"] == "null" and entry["name"] == DATA
        nodes.append(Node(
            index, entry["name"], entry["op"], attrs, inputs, shape,
            stride=(1, 1) if is_data else _stride(entry["op"], attrs, shape, before),
            from_data=is_data or bool(before)))
    heads = [reference[0] for reference in parsed["heads"]]
    return Graph(tuple(nodes), _trunk(nodes, heads))


def _infer(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every node's first output, by node name."""
    from ssdreg.mx import mx
    if DATA not in symbol.list_arguments():
        raise TapError(f"the symbol has no input called {DATA!r}: it has "
                       f"{', '.join(symbol.list_inputs()[:3])}, ...")
    internals = symbol.get_internals()
    try:
        # the partial inference infers just as much, and does not print when it fails
        _, shapes, _ = internals.infer_shape_partial(**{DATA: (1, 3, *data_shape)})
    except mx.MXNetError as error:
        where = re.search(r"Error in operator ([^\s:]+)", str(error))
        node = where.group(1) if where else None
        # MXNet writes "condition in C++: what it means"
        reason = str(error).splitlines()[-1].rpartition("Check failed: ")[2].strip()
        reason = reason.partition(": ")[2] or reason
        raise InputShapeError(
            f"the backbone does not accept an input of {data_shape[0]}x{data_shape[1]} pixels"
            f"{f', at node {node!r}' if node else ''}: {reason}", node) from error
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in zip(internals.list_outputs(), shapes or ()):
        # an operator's first output is name_output, or name_output0 when there are several;
        # variables appear under their own name
        for suffix in ("_output", "_output0"):
            if name.endswith(suffix):
                found.setdefault(name[:-len(suffix)], tuple(shape))
        found.setdefault(name, tuple(shape))
    return found


def _stride(op: str, attrs: Mapping[str, str], shape: tuple[int, ...],
            before: list[Node]) -> Stride | None:
    """Work out a node's stride from its inputs' and its own settings.

    Settings are exact where shapes are not: an unpadded 3x3 convolution takes two pixels off
    the map but the distance between its cells stays the same.
    """
    pictures = [node for node in before if node.stride is not None]
    if not pictures or len(shape) != 4:
        return None
    coarsest = max(pictures, key=lambda node: math.prod(node.stride or (0, 0)))
    down, across = coarsest.stride or (1, 1)
    if op in POOLINGS and _is_global(attrs, coarsest.shape):
        return None
    if op in CONVOLUTIONS | POOLINGS:
        step_down, step_across = _pair(attrs.get("stride") or "(1, 1)")
        return down * step_down, across * step_across
    if op in PADDINGS:
        return down, across
    height, width = coarsest.shape[2:]
    if shape[2:] == (1, 1) and height * width > 1:
        return None  # a mean over the map, or a reshape: a picture no more
    if op not in RESIZERS and (shape[2] > height or shape[3] > width):
        return None
    return (max(1, round(down * height / shape[2])), max(1, round(across * width / shape[3])))


def _is_global(attrs: Mapping[str, str], shape: tuple[int, ...]) -> bool:
    """Tell whether a pooling takes in the whole map, by its setting or by an average's size."""
    if attrs.get("global_pool", "False") in ("True", "1", "true"):
        return True
    kernel = _pair(attrs.get("kernel", "(1, 1)"))
    return (attrs.get("pool_type") == "avg" and max(kernel) > 3
            and kernel[0] >= shape[2] and kernel[1] >= shape[3])


def _pair(text: str) -> tuple[int, int]:
    """Read ``"(3, 3)"``, ``"[3,3]"`` or ``"(3L, 3L)"`` (Python 2 wrote that) as two numbers."""
    numbers = [int(part.strip().rstrip("L")) for part in text.strip("()[] ").split(",")
               if part.strip()]
    return (numbers[0], numbers[-1]) if numbers else (1, 1)


def _trunk(nodes: list[Node], heads: list[int]) -> tuple[int, ...]:
    """Find the nodes on every path from the data to the outputs.

    Counts paths: a node that as many paths run through as there are in all lies on each of
    them. The counts of a deep network have hundreds of digits, which Python's integers hold
    exactly.
    """
    ways_to = [0] * len(nodes)    # from the data to a node
    ways_from = [0] * len(nodes)  # from a node to the outputs
    for node in nodes:
        if node.op == "null":
            ways_to[node.index] = 1 if node.from_data else 0
        else:
            ways_to[node.index] = sum(ways_to[index] for index in node.inputs)
    for index in heads:
        ways_from[index] += 1
    for node in reversed(nodes):
        for index in node.inputs:
            ways_from[index] += ways_from[node.index]
    total = sum(ways_to[index] for index in heads)
    return tuple(node.index for node in nodes
                 if node.from_data and ways_to[node.index] * ways_from[node.index] == total)
