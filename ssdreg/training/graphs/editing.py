"""Nodes added to a net, and read instead of others."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import Entry, Net, Node


class Edit:
    """Changes to one net, made together by `net`.

    What is added reads the net as it was, and what was added before it; readers of an output that
    is replaced read the other one, heads included.
    """

    def __init__(self, net: Net) -> None:
        self._net, self._nodes = net, list(net.nodes)
        self._instead: dict[Entry, Entry] = {}

    def add(self, op: str, name: str, inputs: Sequence[Entry], **attrs: object) -> Entry:
        """Add an operator; return its first output."""
        texts = {key: str(value) for key, value in attrs.items()}
        self._nodes.append(Node(op, name, Attributes(texts), tuple(inputs)))
        return len(self._nodes) - 1, 0

    def put(self, index: int, node: Node) -> None:
        """Put another node in a node's place."""
        self._nodes[index] = node

    def know_shape(self, variable: int, shape: Sequence[int]) -> None:
        """Write a variable's shape down: MXNet infers none through a cut or a Concat of it."""
        self.put(variable, self._nodes[variable].with_attrs({"__shape__": str(tuple(shape))}))

    def read_instead(self, output: Entry, other: Entry) -> None:
        """Let the net's own nodes, and its heads, read another output."""
        self._instead[output] = other

    def net(self) -> Net:
        """Return the net with all changes."""
        count = len(self._net.nodes)

        def turned(entries: Sequence[Entry]) -> tuple[Entry, ...]:
            return tuple(self._instead.get(entry, entry) for entry in entries)
        nodes = [evolve(node, inputs=turned(node.inputs)) if index < count else node
                 for index, node in enumerate(self._nodes)]
        return Net(nodes, turned(self._net.heads))
