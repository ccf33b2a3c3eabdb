"""The stretches between convolutions: what of a detector is its network, and what stands around it.

In front is the input's normalisation; behind are the last predictions, which are laid out, and
all that is computed from them. The rule is the same for a symbol and for exported models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ssdreg.graph.nodes import Net, Node, reached
from ssdreg.graph.operators import WEIGHTED


def between(sources: Iterable[Iterable[int]], ends: Collection[int]) -> frozenset[int]:
    """Return the nodes that stand between two `ends`, and these.

    `sources` are for each node of a graph, of whatever kind, the nodes that it reads.
    """
    sources_of = [tuple(read) for read in sources]
    readers: list[list[int]] = [[] for _ in sources_of]
    for index, read in enumerate(sources_of):
        for source in read:
            readers[source].append(index)
    return reached(ends, sources_of.__getitem__) & reached(ends, readers.__getitem__)


def weighted(node: Node) -> tuple[str, ...]:
    """Return the names of the convolutions that a node is, or holds if it is a joined one."""
    return tuple(part.name for part in (node, *node.parts) if part.op in WEIGHTED)


def outside_network(net: Net) -> tuple[str, ...]:
    """Return the names of the operators that do not stand between two convolutions."""
    inside = between((node.sources for node in net.nodes),
                     [index for index, node in enumerate(net.nodes) if weighted(node)])
    return tuple(node.name for index, node in enumerate(net.nodes)
                 if not node.is_variable and index not in inside)
