"""A deploy symbol's graph, read and rearranged as MXNet's int8 wants it.

A symbol is rearranged in its JSON, by which MXNet itself rearranges it. No parameter changes, and
nothing that is computed but for rounding.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.errors import ModelError
from ssdreg.graph.symbol import CONVOLUTIONS, CROPS, ELEMENTWISE

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Of what MXNet joins several operators to, before it quantises, the names begin like this.
FUSED = "_sg_mkldnn"
#: What multiplies with weights.
_WEIGHTED = CONVOLUTIONS | {"FullyConnected", "Deconvolution"}
#: Whether these stand before or behind a cut makes no difference: they work on each value alone.
_POINTWISE = ELEMENTWISE | {"BatchNorm"}


@frozen(eq=False)
class Graph:
    """The JSON of a symbol; nodes are known by their places in it."""

    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, symbol: mx.sym.Symbol) -> Graph:
        """Read a symbol."""
        return cls(json.loads(symbol.tojson()))

    @property
    def nodes(self) -> Sequence[Mapping[str, Any]]:
        """The nodes in topological order, each with its op, name, attrs and inputs."""
        nodes: Sequence[Mapping[str, Any]] = self.content["nodes"]
        return nodes

    def readers(self) -> list[list[tuple[int, int]]]:
        """Return, for each node, which nodes read it, and as which of their inputs."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for place, (source, *_) in enumerate(node["inputs"]):
                found[source].append((index, place))
        return found


def convolutions(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the convolutions that a node is, or holds if it is a joined one."""
    parts = [part for graph in node.get("subgraphs", ()) for part in graph["nodes"]]
    return tuple(each["name"] for each in (node, *parts) if each["op"] in _WEIGHTED)


def outside_network(graph: Graph) -> tuple[str, ...]:
    """Return the names of the operators that do not stand between two convolutions."""
    behind: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if convolutions(node) or any(source in behind for source, *_ in node["inputs"]):
            behind.add(index)
    before: set[int] = set()
    readers = graph.readers()
    for index in reversed(range(len(graph.nodes))):
        if convolutions(graph.nodes[index]) or any(reader in before
                                                   for reader, _ in readers[index]):
            before.add(index)
    return tuple(node["name"] for index, node in enumerate(graph.nodes)
                 if node["op"] != "null" and index not in behind & before)


def cuts_last(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Move cuts from between a convolution and its normalisation and activation behind these.

    A network with uneven padding pads more and cuts the surplus off. Between the convolution and
    what follows it the cut keeps MXNet from joining them, and int8 would then have to hold what
    the activation is about to throw away.
    """
    from ssdreg.mx import mx
    graph = Graph.of(symbol)
    nodes = [{**node, "inputs": [list(entry) for entry in node["inputs"]]}
             for node in graph.nodes]
    readers, heads = graph.readers(), {head[0] for head in graph.content["heads"]}
    order = list(range(len(nodes)))
    for cut, node in enumerate(nodes):
        if node["op"] not in CROPS or len(node["inputs"]) != 1:
            continue
        source = node["inputs"][0][0]
        if graph.nodes[source]["op"] not in CONVOLUTIONS or len(readers[source]) != 1:
            continue
        last = cut
        while (last not in heads and len(readers[last]) == 1 and readers[last][0][1] == 0
               and nodes[readers[last][0][0]]["op"] in _POINTWISE):
            last = readers[last][0][0]
        if last == cut or last in heads:
            continue
        nodes[readers[cut][0][0]]["inputs"][0] = node["inputs"][0]
        node["inputs"][0] = [last, 0, 0]
        for reader, place in readers[last]:
            nodes[reader]["inputs"][place] = [cut, 0, 0]
        order.remove(cut)
        order.insert(order.index(last) + 1, cut)
    with mx.name.NameManager():
        return mx.sym.load_json(json.dumps(_sorted(graph.content, nodes, order)))


def _sorted(content: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]],
            order: Sequence[int]) -> dict[str, Any]:
    """Return the JSON of a graph with its nodes in another order."""
    place = {old: new for new, old in enumerate(order)}
    moved = [{**nodes[old], "inputs": [[place[source], *rest]
                                       for source, *rest in nodes[old]["inputs"]]}
             for old in order]
    kept = {key: value for key, value in content.items() if key != "node_row_ptr"}
    return {**kept, "nodes": moved,
            "arg_nodes": [index for index, node in enumerate(moved) if node["op"] == "null"],
            "heads": [[place[source], *rest] for source, *rest in content["heads"]]}


def weights_of(symbol: mx.sym.Symbol, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the weights of these convolutions.

    Raises ModelError, with names that are alike, for one that is none.
    """
    graph = Graph.of(symbol)
    found = {node["name"]: graph.nodes[node["inputs"][1][0]]["name"]
             for node in graph.nodes if node["op"] in _WEIGHTED}
    for name in names:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=3) or list(found)[:3]
            raise ModelError(f"the network has no convolution {name!r}: there are "
                             f"{', '.join(map(repr, close))} and others")
    return tuple(found[name] for name in names)
