"""Expressions of Python with what binds them, and the table of what writes which operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import ExportError
from ssdreg.graph.nodes import Node

if TYPE_CHECKING:
    from ssdreg_torch.export.layers import Layers

# How tightly the parts of an expression hold together.
COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)


@frozen
class Code:
    """An expression; `binding` is how tightly its loosest part holds."""

    text: str
    binding: int = ATOM

    def within(self, binding: int) -> str:
        """Return the text for where something binds as tightly as this, in brackets if need be."""
        return self.text if self.binding >= binding else f"({self.text})"

    @property
    def atom(self) -> str:
        """The text for where a method may be called on it."""
        return self.within(ATOM)


@frozen(eq=False)
class Site:
    """A node to write: what it reads, and the shapes of that where they are known.

    `shapes` hold None for a dimension that follows the batch, and are None where nothing is known.
    `layers` collects the layers and parameters, `helpers` the functions that the file needs.
    """

    node: Node
    inputs: Sequence[Code]
    shapes: tuple[tuple[int | None, ...] | None, ...]
    shape: tuple[int | None, ...] | None
    layers: Layers
    helpers: set[str]

    def helper(self, name: str) -> str:
        """Return the name of a function that the file is to have."""
        self.helpers.add(name)
        return name

    def rank(self, place: int = 0) -> int:
        """Return how many dimensions an input has; raise ExportError where that is not known."""
        shape = self.shapes[place]
        if shape is None:
            raise unwritten(self.node, "the shape of what it reads does not follow from the "
                                       "network and the size of its input")
        return len(shape)


#: Writes a node: an expression for each output.
Writing = Callable[[Site], "Code | Sequence[Code]"]

_WRITINGS: dict[str, Writing] = {}


def writes(*ops: str) -> Callable[[Writing], Writing]:
    """Mark a function as what writes MXNet's operators of these names."""
    def mark(writing: Writing) -> Writing:
        _WRITINGS.update(dict.fromkeys(ops, writing))
        return writing
    return mark


def written(site: Site) -> list[Code]:
    """Return a node's outputs as expressions; raise ExportError where it cannot be written."""
    if site.node.op not in _WRITINGS:
        raise unwritten(site.node, "there is nothing that writes this operator")
    try:
        code = _WRITINGS[site.node.op](site)
    except ValueError as error:
        if isinstance(error, ExportError):
            raise
        raise unwritten(site.node, str(error)) from error
    return [code] if isinstance(code, Code) else list(code)


def known() -> tuple[str, ...]:
    """Return the names of all operators that can be written."""
    return tuple(sorted(_WRITINGS))


def unwritten(node: Node, reason: str) -> ExportError:
    """Return the error for an operator that cannot be written."""
    return ExportError(f"{node.op} at node {node.name!r} cannot be written as a PyTorch module: "
                       f"{reason}")


def call(function: str, *arguments: object, **named: object) -> Code:
    """Return a call; arguments are texts, or code."""
    parts = [argument.text if isinstance(argument, Code) else str(argument)
             for argument in arguments]
    parts += [f"{name}={value.text if isinstance(value, Code) else value}"
              for name, value in named.items()]
    return Code(f"{function}({', '.join(parts)})")


def number(value: float) -> str:
    """Return a number as it is written: without a point where it is whole."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def extent(sides: Sequence[int]) -> str:
    """Return a kernel or the like: one number where all sides are equal."""
    return str(sides[0]) if len(set(sides)) == 1 else str(tuple(sides))
