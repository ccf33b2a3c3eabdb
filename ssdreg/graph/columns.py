"""A symbol's nodes as columns, read from the text that MXNet writes fastest.

Writing and reading a symbol's JSON takes longer than building most networks. MXNet's debug listing
is written in a tenth of that time and read in half of it, and holds the same information as long
as no two nodes share a name. Where it does not agree with the symbol's outputs, the JSON is read.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import VARIABLE, Entry, Node, as_node

if TYPE_CHECKING:
    from ssdreg.mx import mx

_OUTPUTS = "Symbol Outputs:"
_OPERATOR, _VARIABLE = "\n--------------------\nOp:", "\nVariable:"


@frozen(eq=False)
class Columns(ABC):
    """The nodes of a symbol, each behind those that it reads; a column has an entry for each.

    `ops` has ``null`` for variables, `sources` are the indices of the nodes that each one reads,
    and `heads` those that make the outputs.
    """

    names: Sequence[str] = field(repr=False)
    ops: Sequence[str] = field(repr=False)
    sources: Sequence[tuple[int, ...]] = field(repr=False)
    heads: tuple[int, ...]

    @abstractmethod
    def node(self, index: int) -> Node:
        """Return a node with its name, its operator, its settings and what it reads."""

    @abstractmethod
    def attrs(self, index: int) -> Attributes:
        """Return a node's settings."""


@frozen(eq=False)
class Document(Columns):
    """The nodes as JSON has them."""

    entries: Sequence[Mapping[str, Any]] = field(repr=False)

    @classmethod
    def read(cls, symbol: mx.sym.Symbol) -> Document:
        """Read a symbol's JSON."""
        document = json.loads(symbol.tojson(remove_amp_cast=False))
        entries = document["nodes"]
        return cls([entry["name"] for entry in entries], [entry["op"] for entry in entries],
                   [tuple([source for source, *_ in entry["inputs"]]) for entry in entries],
                   tuple(source for source, *_ in document["heads"]), entries)

    def node(self, index: int) -> Node:
        """Return a node."""
        return as_node(self.entries[index])

    def attrs(self, index: int) -> Attributes:
        """Return a node's settings."""
        return self.node(index).attrs


# without slots: the cached document needs a __dict__
@frozen(eq=False, slots=False)
class Listing(Columns):
    """The nodes as MXNet lists them: `lines` are what each operator reads, `settings` its own.

    The settings of variables are not listed; the JSON is read when they are needed.
    """

    symbol: mx.sym.Symbol = field(repr=False)
    lines: Sequence[Sequence[str]] = field(repr=False)
    settings: Sequence[str] = field(repr=False)

    @classmethod
    def read(cls, symbol: mx.sym.Symbol) -> Listing | None:
        """Read the debug listing of a symbol; None where the JSON has more than it."""
        text = symbol.debug_str()
        first, *blocks = text.rstrip("\n").split(_OPERATOR)
        outputs, *names = first.split(_VARIABLE)
        ops = [VARIABLE] * len(names)
        lines: list[Sequence[str]] = [()] * len(names)
        settings = [""] * len(names)
        for block in blocks:
            own, *variables = block.split(_VARIABLE)
            head, _, body = own.partition("\nInputs:")
            op, _, name = head.partition(", Name=")
            read, _, attrs = body.partition("\nAttrs:\n\t")
            names.append(name)
            ops.append(op)
            lines.append(read.split("\n\targ[")[1:])
            settings.append(attrs)
            if variables:
                names += variables
                ops += [VARIABLE] * len(variables)
                lines += [()] * len(variables)
                settings += [""] * len(variables)
        places = dict(zip(names, range(len(names))))
        if (not outputs.startswith(_OUTPUTS) or len(places) < len(names)
                or "\nControl deps:" in text):
            return None
        try:
            # a line is 0]=name(output), or 0]=name(output) version=number
            heads, *sources = [
                tuple([places[line.rpartition("(")[0].partition("]=")[2]] for line in listed])
                for listed in (outputs.split("\n\toutput[")[1:], *lines)]
        except KeyError:
            return None
        return cls(names, ops, sources, heads, symbol, lines, settings)

    @cached_property
    def _document(self) -> Document:
        return Document.read(self.symbol)

    def node(self, index: int) -> Node:
        """Return a node."""
        return Node(self.ops[index], self.names[index], self.attrs(index), tuple(map(
            _entry, self.sources[index], self.lines[index])))

    def attrs(self, index: int) -> Attributes:
        """Return a node's settings."""
        if self.ops[index] == VARIABLE:
            return self._document.attrs(index)
        return _attributes(self.settings[index])


# cached: a network repeats the same settings
@lru_cache(maxsize=1024)
def _attributes(text: str) -> Attributes:
    """Read settings: a line each, key=value, where a value may have several lines."""
    pairs = [line.partition("=") for line in text.split("\n\t")] if text else []
    return Attributes(MappingProxyType({key: value for key, _, value in pairs}))


def _entry(source: int, line: str) -> Entry:
    return source, int(line.rpartition("(")[2].partition(")")[0])


def read_columns(symbol: mx.sym.Symbol, outputs: Sequence[str]) -> tuple[Columns, list[int | None]]:
    """Read a symbol, and where the first output of each node is among `outputs`.

    These are the names of all its internal outputs. The place is None where a node has no output by
    its name.
    """
    listing = Listing.read(symbol)
    if listing is not None and len(set(outputs)) == len(outputs):
        places = first_outputs(listing, outputs)
        if None not in places and places == sorted(places):  # type: ignore[type-var]
            return listing, places
    document = Document.read(symbol)
    return document, first_outputs(document, outputs)


def first_outputs(columns: Columns, outputs: Sequence[str]) -> list[int | None]:
    """Return the place of each node's first output among all `outputs`.

    Several of these share a name where a network uses one activation at several places; they come
    in the order of the nodes.
    """
    names, ops = columns.names, columns.ops
    places = dict(zip(reversed(outputs), range(len(outputs) - 1, -1, -1)))
    # an operator's first output is name_output, or name_output0 when there are several; variables
    # appear under their own name
    keys = [name if op == VARIABLE else f"{name}_output" for name, op in zip(names, ops)]
    keys = [key if key in places or op == VARIABLE else f"{key}0" for key, op in zip(keys, ops)]
    if len(places) == len(outputs):
        return list(map(places.get, keys))
    following: dict[str, list[int]] = {}
    for place in range(len(outputs) - 1, -1, -1):
        following.setdefault(outputs[place], []).append(place)
    return [following[key].pop() if following.get(key) else None for key in keys]
