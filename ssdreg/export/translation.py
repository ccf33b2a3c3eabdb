"""The table of translations: which function writes which MXNet operator.

A translation takes the operator, the values it reads and the writer, adds nodes, and returns the
values of the operator's outputs. Modules register theirs by `translates`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssdreg.errors import ExportError
from ssdreg.export.reading import Operator
from ssdreg.export.writer import Value, Writer

Translation = Callable[[Operator, Sequence[Value], Writer], "list[Value]"]

TRANSLATIONS: dict[str, Translation] = {}


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register a function as the translation of MXNet's operators of these names."""
    def register(function: Translation) -> Translation:
        for name in names:
            TRANSLATIONS[name] = function
        return function
    return register


def unsupported(operator: Operator, why: str) -> ExportError:
    """Return the error that says which operator cannot be written, where it is, and why."""
    return ExportError(f"{operator.op} at node {operator.name!r} cannot be written as ONNX: {why}")


def translation_of(operator: Operator) -> Translation:
    """Return the translation of an operator; raise ExportError, naming the node, without one."""
    if operator.op not in TRANSLATIONS:
        raise unsupported(operator, "there is no translation of this operator")
    return TRANSLATIONS[operator.op]
