"""The layers and parameters of a network: how they are declared, and whose values they take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from attrs import Factory, define, frozen

from ssdreg.errors import ExportError
from ssdreg.graph.nodes import Net, Node
from ssdreg_torch.export.code import unwritten
from ssdreg_torch.export.identifiers import Identifiers

NONE: Mapping[str, torch.Tensor] = MappingProxyType({})


@frozen(eq=False)
class Layer:
    """One attribute of the module: its name, and the line that makes it.

    `tensors` are MXNet's parameters by the name that the file of parameters has for them, and
    `constants` what has another value there, or is none of MXNet's.
    """

    name: str
    declared: str
    tensors: Mapping[str, str]
    constants: Mapping[str, torch.Tensor] = Factory(dict)


@define(eq=False)
class Layers:
    """All layers in the order of their first use.

    `params` are the parameters by MXNet's names; what is in `net` and not among them is an input.
    """

    net: Net
    params: Mapping[str, torch.Tensor]
    names: Identifiers
    made: dict[str, Layer] = Factory(dict)
    _users: dict[str, str] = Factory(dict)

    def parameter(self, node: Node, place: int) -> str | None:
        """Return MXNet's name of a parameter that a node reads, None where it is a value."""
        if place >= len(node.inputs):
            return None
        source = self.net.nodes[node.inputs[place][0]]
        return source.name if source.is_variable and source.name in self.params else None

    def tensor(self, node: Node, place: int) -> torch.Tensor:
        """Return the parameter that a node reads; raise ExportError where it is none."""
        name = self.parameter(node, place)
        if name is None:
            raise unwritten(node, f"its input {place} is computed, and not a parameter")
        return self.params[name]

    def layer(self, node: Node, declared: str, tensors: Mapping[str, int],
              constants: Mapping[str, torch.Tensor] = NONE) -> str:
        """Return the name of a layer; `tensors` tell by its own names which inputs they are.

        Nodes that read the same parameters share a layer. Raises ExportError where two share some.
        """
        names = {own: self.parameter(node, place) for own, place in tensors.items()}
        first = next(iter(names.values()))
        if first is None or None in names.values():
            raise unwritten(node, "its weights are computed, and not parameters")
        if first in self._users:
            layer = self.made[self._users[first]]
            alike = sorted(layer.tensors.values()) == sorted(map(str, names.values()))
            if alike and layer.declared == f"self.{layer.name} = {declared}":
                return layer.name
        clash = next((name for name in names.values() if name in self._users), None)
        if clash is not None:
            raise unwritten(node, f"it shares {clash!r} with a layer that is not the same")
        stem = first[:first.rfind("_")] if "_" in first else node.name
        chosen = self.names.new(stem)
        self.made[chosen] = Layer(
            chosen, f"self.{chosen} = {declared}",
            {f"{chosen}.{own}": str(name) for own, name in names.items()},
            {f"{chosen}.{own}": value for own, value in constants.items()})
        self._users.update(dict.fromkeys(map(str, names.values()), chosen))
        return chosen

    def alone(self, node: Node, name: str, learns: bool) -> str:
        """Return the name of a parameter that belongs to no layer."""
        if name in self._users:
            layer = self.made[self._users[name]]
            (own,) = (own for own, theirs in layer.tensors.items() if theirs == name)
            return own
        chosen, shape = self.names.new(name), tuple(self.params[name].shape)
        made = f"torch.empty({', '.join(map(str, shape))})"
        if learns:
            declared = f"self.{chosen} = nn.Parameter({made})"
        else:
            declared = f'self.register_buffer("{chosen}", {made})'
        self.made[chosen] = Layer(chosen, declared, {chosen: name})
        self._users[name] = chosen
        return chosen

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all parameters by the names that the file of parameters has for them."""
        named = {own: tensor for layer in self.made.values() for own, tensor in {
            **{own: self.params[name] for own, name in layer.tensors.items()},
            **layer.constants}.items()}
        if not named:
            raise ExportError("the network has no parameters: there is nothing to write")
        return named
