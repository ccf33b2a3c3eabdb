"""A deploy symbol as operators to translate: inputs, settings, and what shapes flow between them.

Shapes are inferred for two batch sizes: where they differ, a dimension follows the batch. That
decides how a reshape is written, whatever codes MXNet has for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.errors import ExportError
from ssdreg.export.attributes import Attributes
from ssdreg.graph import DATA

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Two batch sizes to compare; a size that is half again as large with the second follows the batch.
_BATCHES = (2, 3)

#: An output of a node: (index of the node, which of its outputs).
Port = tuple[int, int]


@frozen
class Shape:
    """The shape of a value: `sizes` for a batch of one; `follows` marks what grows with it."""

    sizes: tuple[int, ...]
    follows: tuple[bool, ...]

    @classmethod
    def fixed(cls, sizes: tuple[int, ...]) -> Shape:
        """Return a shape that the batch has no part in."""
        return cls(sizes, (False,) * len(sizes))

    def of(self, batch: int | None) -> tuple[int, ...]:
        """Return the sizes for a batch, -1 where they follow one of any size (None)."""
        return tuple((-1 if batch is None else size * batch) if follows else size
                     for size, follows in zip(self.sizes, self.follows))


@frozen(eq=False)
class Operator:
    """One node of the symbol; `op` is ``null`` for an input or a parameter."""

    index: int
    name: str
    op: str
    attrs: Attributes = field(repr=False)
    inputs: tuple[Port, ...] = field(repr=False)
    outputs: tuple[Shape, ...] = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return self.outputs[0]


@frozen(eq=False)
class Network:
    """A symbol's operators in topological order, its output, and who reads each of them."""

    operators: tuple[Operator, ...]
    output: Port
    readers: tuple[tuple[int, ...], ...]

    def sole_reader(self, operator: Operator) -> Operator | None:
        """Return the only operator that reads this one, None where there are none or several."""
        readers = self.readers[operator.index]
        if len(readers) != 1 or self.output[0] == operator.index:
            return None
        return self.operators[readers[0]]


def read_network(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> Network:
    """Read a symbol with the input ``data`` (B, 3, H, W) and one output."""
    content = json.loads(symbol.tojson())
    shapes = _shapes(content, data_shape)
    operators: list[Operator] = []
    readers: list[list[int]] = [[] for _ in content["nodes"]]
    for index, node in enumerate(content["nodes"]):
        inputs = tuple((source, output) for source, output, *_ in node["inputs"])
        for source, _ in inputs:
            readers[source].append(index)
        operators.append(Operator(index, node["name"], node["op"],
                                  Attributes(node.get("attrs", {})), inputs, shapes[index]))
    if len(content["heads"]) != 1:
        raise ExportError(f"the symbol has {len(content['heads'])} outputs: only a deploy symbol, "
                          f"with the one output 'detection', can be exported")
    source, output, *_ = content["heads"][0]
    return Network(tuple(operators), (source, output), tuple(map(tuple, readers)))


def _shapes(content: dict[str, Any], data_shape: tuple[int, int]) -> list[tuple[Shape, ...]]:
    """Infer the shapes of all outputs of every node."""
    from ssdreg.mx import mx
    # names of nodes need not be unique, and those of outputs tell nodes apart below
    nodes = [{**node, "name": node["name"] if node["op"] == "null" else f"node{index}"}
             for index, node in enumerate(content["nodes"])]
    inside = mx.sym.load_json(json.dumps({**content, "nodes": nodes})).get_internals()
    names = inside.list_outputs()
    one, other = (inside.infer_shape_partial(**{DATA: (batch, 3, *data_shape)})[1]
                  for batch in _BATCHES)
    found: list[tuple[Shape, ...]] = []
    position = 0
    for index, node in enumerate(nodes):
        own: list[Shape] = []
        while position < len(names) and _belongs(names[position], node):
            own.append(_shape(one[position], other[position], content["nodes"][index]))
            position += 1
        found.append(tuple(own))
    return found


def _belongs(output: str, node: dict[str, Any]) -> bool:
    """Tell whether an output of the internals is this node's."""
    if node["op"] == "null":
        return output == node["name"]
    return output.startswith(f"{node['name']}_")


def _shape(one: tuple[int, ...], other: tuple[int, ...], node: dict[str, Any]) -> Shape:
    sizes, follows = [], []
    for first, second in zip(one, other):
        follows.append(first != second)
        if first != second and first * _BATCHES[1] != second * _BATCHES[0]:
            raise ExportError(f"{node['op']} at node {node['name']!r} makes a shape that does not "
                              f"grow with the batch evenly: {one} for {_BATCHES[0]} images, "
                              f"{other} for {_BATCHES[1]}")
        sizes.append(first // _BATCHES[0] if first != second else first)
    return Shape(tuple(sizes), tuple(follows))
