"""A symbol's nodes as its JSON has them: read, followed, changed, and written back.

The one place that knows how MXNet spells a graph. A node is known by its place among the nodes,
and an output of one by that and its number. A changed graph is written to JSON again, by which
MXNet itself rearranges symbols; no parameter changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.operators import CONVOLUTIONS, POOLINGS

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The most nodes of a symbol that is read. The deepest detector has some thousands; the analysis
#: of many more would take gigabytes of memory.
MAX_NODES = 20_000
#: The name of a network's input.
DATA = "data"
#: The operator of a variable: an input or a parameter.
VARIABLE = "null"
#: Where nodes keep their settings: today's name last, because it wins.
SPELLINGS = ("param", "attr", "attrs")

#: A node's output: index of the node, index of the output.
Entry = tuple[int, int]


@frozen(eq=False)
class Node:
    """One node: its operator (``null`` for a variable), its name, settings, and what it reads.

    `versions` tell for each input how often MXNet had written to it before (running moments are
    written to); empty where that is never. `subgraphs`, as JSON has them, are what a node does
    that MXNet joined several to.
    """

    op: str
    name: str
    attrs: Attributes = field(factory=Attributes, repr=False)
    inputs: tuple[Entry, ...] = field(default=(), repr=False)
    versions: tuple[int, ...] = field(default=(), repr=False)
    subgraphs: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def is_variable(self) -> bool:
        """Whether it is an input or a parameter, and no operator."""
        return self.op == VARIABLE

    @property
    def sources(self) -> tuple[int, ...]:
        """The nodes that it reads, whichever output of them."""
        return tuple(index for index, _ in self.inputs)

    @property
    def parts(self) -> tuple[Node, ...]:
        """The nodes that were joined to it."""
        return tuple(as_node(part) for graph in self.subgraphs for part in graph["nodes"])

    @property
    def kernel(self) -> int:
        """The longer side of a convolution's or pooling's kernel; 1 for everything else."""
        return max(self.attrs.pair("kernel", 1)) if self.op in CONVOLUTIONS | POOLINGS else 1

    def with_attrs(self, attrs: Mapping[str, str]) -> Node:
        """Return the same node with more settings."""
        return evolve(self, attrs=Attributes({**self.attrs.texts, **attrs}))


def settings(entry: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a node's settings as JSON has them."""
    return {key: value for spelling in SPELLINGS for key, value in entry.get(spelling, {}).items()}


def as_node(entry: Node | Mapping[str, Any]) -> Node:
    """Read a node of any MXNet's JSON; one that was read stays."""
    if isinstance(entry, Node):
        return entry
    # the oldest have no versions
    return Node(entry["op"], entry["name"], Attributes(settings(entry)), _entries(entry["inputs"]),
                tuple((*version, 0)[0] for _, _, *version in entry["inputs"]),
                tuple(entry.get("subgraphs", ())))


def _entries(references: Iterable[Iterable[int]]) -> tuple[Entry, ...]:
    return tuple((index, output) for index, output, *_ in references)


def _nodes(entries: Iterable[Node | Mapping[str, Any]]) -> tuple[Node, ...]:
    return tuple(map(as_node, entries))


@frozen(eq=False)
class Net:
    """A symbol: its nodes, each behind those that it reads, and its outputs.

    Both are given as values, or as the JSON of a symbol has them. A part made by :meth:`cut`
    keeps its nodes' names, so that a symbol joined from two parts shares their parameters.
    """

    nodes: tuple[Node, ...] = field(repr=False, converter=_nodes)
    heads: tuple[Entry, ...] = field(converter=_entries)

    @classmethod
    def of(cls, symbol: mx.sym.Symbol) -> Net:
        """Read a symbol, with what converts to other precisions, which MXNet else leaves out."""
        document = json.loads(symbol.tojson(remove_amp_cast=False))
        return cls(document["nodes"], document["heads"])

    def op(self, index: int) -> str:
        """Return a node's operator, ``null`` for a variable."""
        return self.nodes[index].op

    def name(self, index: int) -> str:
        """Return a node's name."""
        return self.nodes[index].name

    def attrs(self, index: int) -> Attributes:
        """Return a node's settings; what is left out has its default."""
        return self.nodes[index].attrs

    def inputs(self, index: int) -> tuple[Entry, ...]:
        """Return the outputs that a node reads."""
        return self.nodes[index].inputs

    @property
    def last(self) -> Node:
        """The node that makes the first output."""
        return self.nodes[self.heads[0][0]]

    def find(self, *ops: str) -> tuple[int, ...]:
        """Return the nodes of these operators."""
        return tuple(index for index, node in enumerate(self.nodes) if node.op in ops)

    def readers(self) -> tuple[tuple[Entry, ...], ...]:
        """Return, for each node, which nodes read it, and as which of their inputs."""
        readers: list[list[Entry]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for place, source in enumerate(node.sources):
                readers[source].append((index, place))
        return tuple(map(tuple, readers))

    def upstream(self, *indices: int) -> frozenset[int]:
        """Return these nodes and all that they are computed from."""
        return reached(indices, lambda index: self.nodes[index].sources)

    def downstream(self, *indices: int) -> frozenset[int]:
        """Return these nodes and all that is computed from them."""
        readers = self.readers()
        return reached(indices, lambda index: (reader for reader, _ in readers[index]))

    def main_line(self, index: int) -> Iterator[int]:
        """Follow a node's first input, and that one's, to the variable where it begins."""
        yield index
        while self.inputs(index):
            index = self.inputs(index)[0][0]
            yield index

    def replaced(self, nodes: Mapping[int, Node]) -> Net:
        """Return the same graph with other nodes at some places."""
        return evolve(self, nodes=tuple(nodes.get(index, node)
                                        for index, node in enumerate(self.nodes)))

    def rewired(self, instead: Mapping[Entry, Entry]) -> Net:
        """Return a graph in which the readers of an output, heads included, read another one.

        Nodes may then come before what they read, and some may be read by nobody: see `ordered`.
        """
        def turned(entries: Iterable[Entry]) -> tuple[Entry, ...]:
            return tuple(instead.get(entry, entry) for entry in entries)
        return Net((evolve(node, inputs=turned(node.inputs)) for node in self.nodes),
                   turned(self.heads))

    def with_attrs(self, attrs: Mapping[str, Mapping[str, str]]) -> Net:
        """Return the same graph with more settings written to these variables, by their names."""
        return self.replaced({index: self.nodes[index].with_attrs(attrs[self.name(index)])
                              for index in self.find(VARIABLE) if self.name(index) in attrs})

    def ordered(self, *heads: Entry) -> Net:
        """Return these outputs and the nodes that compute them, in MXNet's order."""
        places: dict[int, int] = {}
        waiting = [index for index, _ in reversed(heads)]
        while waiting:
            index = waiting[-1]
            before = [source for source in self.nodes[index].sources if source not in places]
            if index not in places and before:
                waiting.extend(reversed(before))
                continue
            places.setdefault(waiting.pop(), len(places))

        def placed(entries: Iterable[Entry]) -> tuple[Entry, ...]:
            return tuple((places[index], output) for index, output in entries)
        return Net((evolve(self.nodes[index], inputs=placed(self.inputs(index)))
                    for index in places), placed(heads))

    def cut(self, *heads: Entry) -> mx.sym.Symbol:
        """Return these outputs as one symbol: a group where there are several."""
        from ssdreg.mx import mx
        part = self.ordered(*heads)
        # without a version MXNet takes the file for one of its oldest, and upgrades it
        document = {"nodes": list(map(_written, part.nodes)),
                    "arg_nodes": part.find(VARIABLE),
                    "heads": [[*head, 0] for head in part.heads],
                    "attrs": {"mxnet_version": ["int", _version()]}}
        with mx.name.NameManager():
            return mx.sym.load_json(json.dumps(document))

    def symbol(self) -> mx.sym.Symbol:
        """Write it back to a symbol."""
        return self.cut(*self.heads)


def reached(starts: Iterable[int], following: Callable[[int], Iterable[int]]) -> frozenset[int]:
    """Return these nodes and all that is reached from them, step by step."""
    waiting, seen = list(starts), set[int]()
    while waiting:
        index = waiting.pop()
        if index not in seen:
            seen.add(index)
            waiting.extend(following(index))
    return frozenset(seen)


def _written(node: Node) -> dict[str, Any]:
    versions = node.versions or (0,) * len(node.inputs)
    written = {"op": node.op, "name": node.name, "attrs": dict(node.attrs.texts),
               "inputs": [[*entry, version] for entry, version in zip(node.inputs, versions)]}
    return {**written, "subgraphs": node.subgraphs} if node.subgraphs else written


def _version() -> int:
    """Return the running MXNet's version as its symbol files hold it: 10901 for 1.9.1."""
    from ssdreg.mx import mx
    major, minor, patch = (int(part) for part in mx.__version__.split(".")[:3])
    return major * 10000 + minor * 100 + patch
