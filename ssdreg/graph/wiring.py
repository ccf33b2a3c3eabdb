"""A symbol's nodes as columns: everything that does not depend on the input size.

It is read once and shared by the graphs of all input sizes, see `ssdreg.graph.symbol`. Every step
walks thousands of nodes: columns are faster than an object a node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.errors import TapError
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.columns import Columns, read_columns
from ssdreg.graph.nodes import DATA, MAX_NODES, VARIABLE
from ssdreg.graph.operators import (
    CONVOLUTIONS,
    ELEMENTWISE,
    POOLINGS,
    PRODUCTS,
    is_scalar,
)

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Look beyond their own cell, where their kernel is larger than one.
WINDOWS = CONVOLUTIONS | POOLINGS
_ON_EACH_VALUE = ELEMENTWISE | PRODUCTS


# without slots: cached properties need a __dict__
@frozen(eq=False, slots=False)
class Wiring:
    """The nodes of a symbol with an input ``data``, in topological order; a column has one each.

    Of what a node reads, `data_sources` are those that depend on the data; it is () for the data
    themselves, and None for what does not depend on them. `outputs` is the place of a node's first
    output among all of `internals`, None where it has none by that name.
    """

    internals: mx.sym.Symbol = field(repr=False)
    columns: Columns
    data_sources: Sequence[tuple[int, ...] | None] = field(repr=False)
    outputs: Sequence[int | None] = field(repr=False)

    @property
    def names(self) -> Sequence[str]:
        """The nodes' names."""
        return self.columns.names

    @property
    def ops(self) -> Sequence[str]:
        """The nodes' operators, ``null`` for variables."""
        return self.columns.ops

    @property
    def sources(self) -> Sequence[tuple[int, ...]]:
        """The nodes that each one reads."""
        return self.columns.sources

    def attrs(self, index: int) -> Attributes:
        """Return a node's settings."""
        return self.columns.attrs(index)

    @cached_property
    def first(self) -> Mapping[str, int]:
        """The first node of each name."""
        return dict(zip(reversed(self.names), range(len(self.names) - 1, -1, -1)))

    @cached_property
    def operators(self) -> Mapping[str, int]:
        """How many operators have each name."""
        return Counter([name for name, op in zip(self.names, self.ops) if op != VARIABLE])

    @cached_property
    def parameters(self) -> Sequence[int]:
        """The variables that do not depend on the data."""
        return [index for index, (op, before) in enumerate(zip(self.ops, self.data_sources))
                if op == VARIABLE and before is None]

    @cached_property
    def windows(self) -> Sequence[int]:
        """The convolutions and poolings with a kernel above 1x1."""
        return [index for index, op in enumerate(self.ops)
                if op in WINDOWS and max(self.attrs(index).pair("kernel", 1)) > 1]

    @cached_property
    def working(self) -> frozenset[int]:
        """The convolutions above 1x1, and all that is computed into them.

        The other nodes are behind the work of the last stage: most of a classifier.
        """
        return self.upstream([index for index in self.windows if self.ops[index] in CONVOLUTIONS])

    @cached_property
    def trunk(self) -> tuple[int, ...]:
        """The nodes on every path from the data to the outputs.

        A path goes around a node by a step from one before it to one behind it. So a node that no
        such step passes over lies on all paths; these begin at the data, and end behind the last
        node.
        """
        end = len(self.names)
        reach = [-1] * end  # the last node that reads this one on a path; -1: no path leads here
        for index in self.columns.heads:
            reach[index] = end
        for index in range(end - 1, -1, -1):
            if reach[index] >= 0:
                for before in self.data_sources[index] or ():
                    if reach[before] < 0:
                        reach[before] = index
        on_paths = [index for index, before in enumerate(self.data_sources)
                    if before is not None and reach[index] >= 0]
        # several variables may have the name of the data
        farthest = max((index for index in on_paths if self.data_sources[index] == ()), default=0)
        trunk = []
        for index in on_paths:
            if farthest <= index:
                trunk.append(index)
            farthest = max(farthest, reach[index])
        return tuple(trunk)

    @cached_property
    def on_trunk(self) -> frozenset[int]:
        """The nodes of `trunk`, to look one up."""
        return frozenset(self.trunk)

    @cached_property
    def _reading(self) -> Sequence[int]:
        """The nodes that read others, the last one first."""
        return [index for index in range(len(self.names) - 1, -1, -1) if self.sources[index]]

    def upstream(self, indices: Sequence[int]) -> frozenset[int]:
        """Return these nodes and all that they are computed from."""
        reached = set(indices)
        for index in self._reading:  # what a node reads comes before it
            if index in reached:
                reached.update(self.sources[index])
        return frozenset(reached)

    def joins(self, index: int) -> bool:
        """Tell whether anything but activations lies between the trunk and a node's inputs."""
        waiting = list(self.data_sources[index] or ())
        if len(waiting) < 2:
            return False
        # nodes that were passed too: the number of paths doubles where two meet in a node
        passed: set[int] = set()
        while waiting:
            before = waiting.pop()
            if before in self.on_trunk or before in passed:
                continue
            passed.add(before)
            if not (self.ops[before] in _ON_EACH_VALUE or is_scalar(self.ops[before])):
                return True
            waiting += self.data_sources[before] or ()
        return False


def read_wiring(symbol: mx.sym.Symbol) -> Wiring:
    """Read a symbol; raise TapError when it has no input ``data``, or too many nodes."""
    internals = symbol.get_internals()
    columns, outputs = read_columns(symbol, internals.list_outputs())
    if len(columns.names) > MAX_NODES:
        raise TapError(f"the symbol has {len(columns.names):,} nodes: no network has more than "
                       f"{MAX_NODES:,}")
    data_sources = _data_sources(columns)
    if () not in data_sources:
        raise TapError(f"the symbol has no input called {DATA!r}: it has "
                       f"{', '.join(symbol.list_inputs()[:3])}, ...")
    return Wiring(internals, columns, data_sources, outputs)


def _data_sources(columns: Columns) -> list[tuple[int, ...] | None]:
    data_sources: list[tuple[int, ...] | None] = []
    for name, op, read in zip(columns.names, columns.ops, columns.sources):
        if op == VARIABLE:
            data_sources.append(() if name == DATA else None)
        else:
            data_sources.append(
                tuple([index for index in read if data_sources[index] is not None]) or None)
    return data_sources
