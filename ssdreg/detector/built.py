"""A backbone's own network: built once, read once for each size of its input.

What is planned, verified and assembled stands on one of these values, so that all of it is about
the same symbol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.graph.finding import complete
from ssdreg.graph.symbol import Graph, graph_at
from ssdreg.graph.wiring import Wiring, read_wiring
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import get_backbone

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class BuiltBackbone:
    """A backbone, its taps and what feeds detection filled in, with its own symbol, read."""

    backbone: Backbone
    symbol: mx.sym.Symbol = field(repr=False)
    wiring: Wiring = field(repr=False)

    @classmethod
    def of(cls, backbone: str | Backbone) -> BuiltBackbone:
        """Build a backbone's symbol and read it; taps that are not declared are found on it.

        Raises UnknownNameError for a name that is none, PluginError when the symbol cannot be
        built, and TapError when it has no input ``data``, or no stages to find taps of.
        """
        declared = get_backbone(backbone)
        return cls.read(declared, declared.symbol())

    @classmethod
    def read(cls, declared: Backbone, symbol: mx.sym.Symbol) -> BuiltBackbone:
        """Do what :meth:`of` does, given the backbone's own symbol."""
        wiring = read_wiring(symbol)
        return cls(complete(declared, wiring), symbol, wiring)

    def at(self, data_shape: tuple[int, int]) -> SizedBackbone:
        """Return it for an input of (height, width).

        Raises InputShapeError when the backbone does not accept this size.
        """
        return SizedBackbone(self.backbone, self.symbol, data_shape,
                             graph_at(self.wiring, data_shape))


@frozen(eq=False)
class SizedBackbone:
    """A built backbone for an input of `data_shape`, (height, width): with shapes and strides."""

    backbone: Backbone
    symbol: mx.sym.Symbol = field(repr=False)
    data_shape: tuple[int, int]
    graph: Graph = field(repr=False)
