"""A deploy symbol as operators to translate: inputs, settings, and what shapes flow between them.

Shapes are inferred for two batch sizes: where they differ, a dimension follows the batch. That
decides how a reshape is written, whatever codes MXNet has for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from ssdreg.errors import ExportError
from ssdreg.graph.nodes import DATA, VARIABLE, Entry, Net, Node

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Two batch sizes to compare; a size that is half again as large with the second follows the batch.
_BATCHES = (2, 3)
#: Operators of a network that was quantised, or whose parts were joined to run faster.
_PREPARED = ("_contrib_quantize", "_contrib_requantize", "_contrib_dequantize", "_sg_")


@frozen
class Shape:
    """The shape of a value: `sizes` for a batch of one; `follows` marks what grows with it."""

    sizes: tuple[int, ...]
    follows: tuple[bool, ...]

    @classmethod
    def fixed(cls, sizes: tuple[int, ...]) -> Shape:
        """Return a shape that the batch has no part in."""
        return cls(sizes, (False,) * len(sizes))

    @property
    def known(self) -> bool:
        """Whether all of it could be inferred."""
        return bool(self.sizes) and all(self.sizes)

    def of(self, batch: int | None) -> tuple[int, ...]:
        """Return the sizes for a batch, -1 where they follow one of any size (None)."""
        return tuple((-1 if batch is None else size * batch) if follows else size
                     for size, follows in zip(self.sizes, self.follows))


@frozen(eq=False, kw_only=True)
class Operator(Node):
    """One node of the symbol with its place in it, and the shapes of its outputs."""

    index: int
    outputs: tuple[Shape, ...] = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return self.outputs[0]


@frozen(eq=False)
class OperatorGraph:
    """A symbol's operators in topological order, its output, and who reads each of them."""

    operators: tuple[Operator, ...]
    output: Entry
    readers: tuple[tuple[int, ...], ...]

    def sole_reader(self, operator: Operator) -> Operator | None:
        """Return the only operator that reads this one, None where there are none or several."""
        readers = self.readers[operator.index]
        if len(readers) != 1 or self.output[0] == operator.index:
            return None
        return self.operators[readers[0]]


def read_network(symbol: mx.sym.Symbol, data_shape: tuple[int, int],
                 params: Mapping[str, tuple[int, ...]] | None = None) -> OperatorGraph:
    """Read a symbol with the input ``data`` (B, 3, H, W) and one output.

    `params` are the shapes of parameters by name, for those that do not follow from the network.
    Raises ExportError for a symbol of several outputs, and for one that computes in int8.
    """
    net = Net.of(symbol)
    if len(net.heads) != 1:
        raise ExportError(f"the symbol has {len(net.heads)} outputs: only a deploy symbol, "
                          f"with the one output 'detection', can be exported")
    for node in net.nodes:
        if node.op.startswith(_PREPARED):
            raise ExportError(f"{node.op} at node {node.name!r} belongs to a network that "
                              f"was quantised or fused for MXNet's own int8 and cannot be "
                              f"exported: export the float32 run that it was made from")
        if node.attrs.text("dtype") == "bfloat16":
            raise ExportError(f"{node.op} at node {node.name!r} makes bfloat16 of its input, "
                              f"which an exported file leaves to what runs it: export the float32 "
                              f"run that it was made from")
    operators = tuple(
        Operator(op=node.op, name=node.name, attrs=node.attrs, inputs=node.inputs, index=index,
                 outputs=outputs)
        for index, (node, outputs) in enumerate(zip(net.nodes, _shapes(net, data_shape,
                                                                       params or {}))))
    return OperatorGraph(operators, net.heads[0],
                         tuple(tuple(reader for reader, _ in readers) for readers in net.readers()))


def _shapes(net: Net, data_shape: tuple[int, int],
            params: Mapping[str, tuple[int, ...]]) -> list[tuple[Shape, ...]]:
    """Infer the shapes of all outputs of every node."""
    # names need not be unique, neither those of nodes nor those of variables
    named = evolve(net, nodes=[evolve(node, name=f"node{index}")
                               for index, node in enumerate(net.nodes)])
    inside = named.symbol().get_internals()
    variables = {f"node{index}": net.name(index) for index in net.find(VARIABLE)}
    one, other = (_infer(inside, variables, (batch, 3, *data_shape), params)
                  for batch in _BATCHES)
    shapes: list[list[Shape]] = [[] for _ in net.nodes]
    for name, first, second in zip(inside.list_outputs(), one, other):
        index = int(name.split("_")[0].replace("node", ""))
        shapes[index].append(_shape(first, second, net.nodes[index]))
    return [tuple(outputs) for outputs in shapes]


def _infer(inside: mx.sym.Symbol, variables: Mapping[str, str], images: tuple[int, ...],
           params: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Infer the shapes of all outputs; `variables` are the names that parameters have by ours."""
    from ssdreg.mx import mx
    known = {own: images for own, name in variables.items() if name == DATA}
    try:
        inferred: list[tuple[int, ...]] = inside.infer_shape_partial(**known)[1]
        missing = {own: params[variables[own]]
                   for own, shape in zip(inside.list_outputs(), inferred)
                   if variables.get(own) in params and not Shape.fixed(shape).known}
        # what a scale is multiplied by says nothing of the scale's shape: it has to be told
        return (inside.infer_shape_partial(**known, **missing)[1] if missing else inferred)
    except mx.MXNetError as error:
        raise ExportError(f"the network does not take {images[0]} images of "
                          f"{images[2]}x{images[3]}: {str(error).splitlines()[-1]}") from error


def _shape(one: tuple[int, ...], other: tuple[int, ...], node: Node) -> Shape:
    sizes, follows = [], []
    for first, second in zip(one, other):
        follows.append(first != second)
        if first != second and first * _BATCHES[1] != second * _BATCHES[0]:
            raise ExportError(f"{node.op} at node {node.name!r} makes a shape that does not "
                              f"grow with the batch evenly: {one} for {_BATCHES[0]} images, "
                              f"{other} for {_BATCHES[1]}")
        sizes.append(first // _BATCHES[0] if first != second else first)
    return Shape(tuple(sizes), tuple(follows))
