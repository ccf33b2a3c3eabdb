"""Definitions of this plug-in as they stand in its files, to be copied into another.

What is copied needs PyTorch alone: these modules import nothing else but the standard library.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Iterator
from types import ModuleType

from attrs import frozen

from ssdreg_torch import functions
from ssdreg_torch.export import file, tensors
from ssdreg_torch.multibox import boxes, detection, loss, prior, target

#: Whose definitions may be copied, in the order that they then have.
MODULES = (functions, prior, boxes, target, loss, detection, tensors, file)
#: The name that a file has for a module of PyTorch.
_SHORT = ("functional.", "F.")


@frozen
class Definition:
    """A function, class or constant: its text, comments in front of it included."""

    name: str
    text: str
    uses: frozenset[str]


def definitions(names: Collection[str]) -> list[Definition]:
    """Return these definitions and all that they use, in a fixed order."""
    known = {definition.name: definition for module in MODULES
             for definition in _read(module)}
    waiting, needed = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in known and name not in needed:
            needed.add(name)
            waiting.extend(known[name].uses)
    return [definition for name, definition in known.items() if name in needed]


def _read(module: ModuleType) -> Iterator[Definition]:
    source = inspect.getsource(module)
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        name = _name(statement)
        if not name:
            continue
        first = min([statement.lineno, *(decorator.lineno for decorator in getattr(
            statement, "decorator_list", ()))])
        while lines[first - 2].startswith("#:"):
            first -= 1
        text = "\n".join(lines[first - 1:statement.end_lineno]).replace(*_SHORT)
        yield Definition(name, text, frozenset(
            part.id for part in ast.walk(statement) if isinstance(part, ast.Name)))


def _name(statement: ast.stmt) -> str:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    return ""
