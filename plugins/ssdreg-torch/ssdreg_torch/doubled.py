"""A symbol in double precision, to tell a wrong gradient from a rounded one.

MXNet's MultiBox operators know float32 alone: what they read is rounded to it, and what they return
is widened. All else follows the types of the inputs and the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import Entry, Net, Node
from ssdreg.graph.operators import DETECTION, PRIOR, TARGET

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: SSD's operators with the number of their outputs.
OUTPUTS = {PRIOR: 1, TARGET: 3, DETECTION: 1}


def doubled(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the same network, in which only SSD's operators stay in float32."""
    net = Net.of(symbol)
    nodes, heads = list(net.nodes), list(net.heads)
    instead: dict[Entry, Entry] = {}

    def cast(entry: Entry, dtype: str) -> Entry:
        nodes.append(Node("Cast", f"{nodes[entry[0]].name}_{dtype}_{len(nodes)}",
                          Attributes({"dtype": dtype}), (entry,)))
        return len(nodes) - 1, 0

    for index in net.find(*OUTPUTS):
        for output in range(OUTPUTS[nodes[index].op]):
            instead[index, output] = cast((index, output), "float64")
    widened = set(instead.values())
    nodes = [node if (index, 0) in widened else
             evolve(node, inputs=tuple(instead.get(entry, entry) for entry in node.inputs))
             for index, node in enumerate(nodes)]
    for index in net.find("one_hot", "argsort", "topk"):  # make float32 of whatever they read
        nodes[index] = nodes[index].with_attrs({"dtype": "float64"})
    for index in net.find(*OUTPUTS):
        rounded = tuple(cast(entry, "float32") for entry in nodes[index].inputs)
        nodes[index] = evolve(nodes[index], inputs=rounded)
    return Net(nodes, [instead.get(head, head) for head in heads]).symbol()
