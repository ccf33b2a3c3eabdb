"""A net with the shapes of what its nodes give out, as a rule for kernels needs both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.graph.nodes import Net

if TYPE_CHECKING:
    from ssdreg.mx import mx

Shape = tuple[int, ...]
#: Channels of oneDNN's widest blocks.
BLOCK = 16


@frozen(eq=False)
class Shaped:
    """A net whose inputs have known shapes; `shapes` are those of each node's first output."""

    net: Net
    shapes: tuple[Shape, ...] = field(repr=False)

    @classmethod
    def of(cls, net: Net, inputs: Mapping[str, Shape]) -> Shaped:
        """Infer the shapes from those of the inputs."""
        ordered = net.ordered(*net.heads)
        internals: mx.sym.Symbol = ordered.symbol().get_internals()
        _, outputs, _ = internals.infer_shape(**inputs)
        known = dict(zip(internals.list_outputs(), map(tuple, outputs)))
        return cls(ordered, tuple(
            known.get(node.name if node.is_variable else f"{node.name}_output", ())
            or known.get(f"{node.name}_output0", ()) for node in ordered.nodes))

    def read_by(self, index: int) -> Shape:
        """Return the shape of a node's first input."""
        return self.shapes[self.net.nodes[index].sources[0]]

    def is_in_blocks(self, index: int) -> bool:
        """Tell whether a node gives out a map whose channels are whole blocks."""
        shape = self.shapes[index]
        return len(shape) == 4 and shape[1] % BLOCK == 0

    def convolves_blocks(self, index: int) -> bool:
        """Tell whether a node is a convolution of such a map to another."""
        node = self.net.nodes[index]
        return (node.op == "Convolution" and self.is_in_blocks(index)
                and self.is_in_blocks(node.sources[0]))
