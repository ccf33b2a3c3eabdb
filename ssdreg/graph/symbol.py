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
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.errors import InputShapeError, TapError

if TYPE_CHECKING:
    from ssdreg.mx import mx

DATA = "data"
#: Nodes of a symbol that is read. The deepest detector has some thousands; what is worked out of
#: more would take gigabytes.
MAX_NODES = 20_000

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
#: Cut cells off a map, at its sides or every second one (`slice` with a step).
CROPS = {"slice", "crop", "slice_axis", "slice_like", "Crop"}
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

    def count(self, name: str) -> int:
        """Count the operators called `name`: MXNet reads a symbol at no name that is not unique."""
        return sum(node.op != "null" and node.name == name for node in self.nodes)

    def suggest(self, name: str) -> str:
        """Say which nodes somebody may have meant who wrote `name`, of which there is none."""
        operators = [node.name for node in self.nodes if node.op != "null"]
        close = difflib.get_close_matches(name, operators, n=3)
        return (f"did you mean {' or '.join(map(repr, close))}?" if close else
                f"the last ones are {', '.join(map(repr, operators[-3:]))}.")

    def upstream(self, nodes: Iterable[str | Node]) -> set[int]:
        """Return the indices of these nodes, or those so called, and of all they come from."""
        found = (node if isinstance(node, Node) else self.find(node) for node in nodes)
        waiting = [node.index for node in found if node is not None]
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

    Raises TapError when the symbol has no input ``data`` or too many nodes, InputShapeError when
    it does not accept this shape; a classifier that does not, behind all convolutions, is left
    without shapes.
    """
    parsed = json.loads(symbol.tojson())
    if len(parsed["nodes"]) > MAX_NODES:
        raise TapError(f"the symbol has {len(parsed['nodes']):,} nodes: no network has more than "
                       f"{MAX_NODES:,}")
    working = _working(parsed["nodes"])
    shapes = _infer(symbol, parsed["nodes"], working, data_shape)
    nodes: list[Node] = []
    for index, entry in enumerate(parsed["nodes"]):
        attrs = _settings(entry)
        inputs = tuple(reference[0] for reference in entry["inputs"])
        shape = _take(shapes, entry["op"], entry["name"])
        before = [nodes[i] for i in inputs if nodes[i].from_data]
        is_data = entry["op"] == "null" and entry["name"] == DATA
        nodes.append(Node(
            index, entry["name"], entry["op"], attrs, inputs, shape,
            stride=(1, 1) if is_data else _stride(entry["op"], attrs, shape, before,
                                                  last=index not in working),
            from_data=is_data or bool(before)))
    heads = [reference[0] for reference in parsed["heads"]]
    return Graph(tuple(nodes), _trunk(nodes, heads))


def _working(entries: list[dict[str, Any]]) -> set[int]:
    """Return the indices of the convolutions above 1x1, and of all they are computed from.

    What is not among them is behind the last stage's work: a classifier, most of it.
    """
    found: set[int] = set()
    for index, entry in reversed(list(enumerate(entries))):
        if (entry["op"] in CONVOLUTIONS
                and max(_pair(_settings(entry).get("kernel", "(1, 1)"))) > 1):
            found.add(index)
        if index in found:
            found.update(reference[0] for reference in entry["inputs"])
    return found


def _infer(symbol: mx.sym.Symbol, entries: list[dict[str, Any]], working: set[int],
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
            beyond = _classifier_from(entries, working, complaint.node)
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


def _classifier_from(entries: list[dict[str, Any]], working: set[int],
                     name: str | None) -> set[str]:
    """Return the names of a node and all behind it; none if there is still work among them."""
    behind: set[int] = set()
    for index, entry in enumerate(entries):
        if entry["name"] == name or behind.intersection(ref[0] for ref in entry["inputs"]):
            behind.add(index)
    return set() if behind & working else {entries[index]["name"] for index in behind}


def _settings(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return an operator's settings; older MXNet versions spelt ``attrs`` otherwise."""
    return {**entry.get("param", {}), **entry.get("attr", {}), **entry.get("attrs", {})}


def _take(shapes: dict[str, list[tuple[int, ...]]], op: str, name: str) -> tuple[int, ...]:
    """Take the shape of the next node called `name`, of its first output; () if unknown."""
    # an operator's first output is name_output, or name_output0 when there are several;
    # variables appear under their own name
    for suffix in ("",) if op == "null" else ("_output", "_output0"):
        if shapes.get(name + suffix):
            return shapes[name + suffix].pop(0)
    return ()


def _stride(op: str, attrs: Mapping[str, str], shape: tuple[int, ...],
            before: list[Node], last: bool) -> Stride | None:
    """Work out a node's stride from its inputs' and its own settings.

    `last` tells that no convolution above 1x1 comes behind it.

    Settings are exact where shapes are not: an unpadded 3x3 convolution takes two pixels off
    the map but the distance between its cells stays the same.
    """
    pictures = [node for node in before if node.stride is not None]
    if not pictures:
        return None
    coarsest = max(pictures, key=lambda node: math.prod(node.stride or (0, 0)))
    down, across = coarsest.stride or (1, 1)
    height, width = coarsest.shape[-2:]
    if len(shape) == 5 and shape[3:] == (height, width):
        return down, across  # channels in groups, on their way through a channel shuffle
    if len(shape) != 4:
        return None
    if op in POOLINGS and _is_global(attrs, coarsest.shape, last):
        return None
    if op in CONVOLUTIONS | POOLINGS:
        step_down, step_across = _pair(attrs.get("stride") or "(1, 1)")
        return down * step_down, across * step_across
    if op in PADDINGS:
        return down, across
    if op in CROPS:
        step_down, step_across = _last_pair(attrs.get("step", "()"))
        return down * step_down, across * step_across
    if shape[2:] == (1, 1) and height * width > 1:
        return None  # a mean over the map, or a reshape: a picture no more
    if op not in RESIZERS and (shape[2] > height or shape[3] > width):
        return None
    return (max(1, round(down * height / shape[2])), max(1, round(across * width / shape[3])))


def _is_global(attrs: Mapping[str, str], shape: tuple[int, ...], last: bool) -> bool:
    """Tell whether a pooling takes in the whole map: by its setting, or an average by its size.

    The last average is meant to, even if the map of a larger input than usual is left in pieces.
    """
    if attrs.get("global_pool", "False") in ("True", "1", "true"):
        return True
    kernel = _pair(attrs.get("kernel", "(1, 1)"))
    return (attrs.get("pool_type") == "avg" and max(kernel) > 3
            and (last or (kernel[0] >= shape[2] and kernel[1] >= shape[3])))


def _pair(text: str) -> tuple[int, int]:
    """Read ``"(3, 3)"``, ``"[3,3]"`` or ``"(3L, 3L)"`` (Python 2 wrote that) as two numbers."""
    numbers = [int(part.strip().rstrip("L")) for part in text.strip("()[] ").split(",")
               if part.strip()]
    return (numbers[0], numbers[-1]) if numbers else (1, 1)


def _last_pair(text: str) -> tuple[int, int]:
    """Read the last two of ``"(None, None, 2, 2)"``, a step along each axis; 1 where none is."""
    parts = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
    steps = [1 if part == "None" else abs(int(part.rstrip("L"))) for part in parts]
    return (steps[2], steps[3]) if len(steps) == 4 else (1, 1)


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
