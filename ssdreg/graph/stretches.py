"""The stretches between convolutions: what of a detector is its network, and what stands around it.

In front is the input's normalisation; behind are the last predictions, which are laid out, and
all that is made of them.
"""

from __future__ import annotations

from ssdreg.graph.nodes import VARIABLE, Net, Node
from ssdreg.graph.operators import WEIGHTED


def weighted(node: Node) -> tuple[str, ...]:
    """Return the names of the convolutions that a node is, or holds if it is a joined one."""
    return tuple(each.name for each in (node, *node.parts) if each.op in WEIGHTED)


def outside_network(net: Net) -> tuple[str, ...]:
    """Return the names of the operators that do not stand between two convolutions."""
    ends = [index for index, node in enumerate(net.nodes) if weighted(node)]
    inside = net.upstream(*ends) & net.downstream(*ends)
    return tuple(node.name for index, node in enumerate(net.nodes)
                 if node.op != VARIABLE and index not in inside)
