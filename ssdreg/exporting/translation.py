"""The table of translations: which function writes which MXNet operator.

A translation takes the operator, the values it reads and the writer, adds nodes, and returns the
values of the operator's outputs. Modules register theirs by `translates`. The names are those
that MXNet itself writes to a symbol: where an operator has several, it keeps one of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from ssdreg.errors import ExportError
from ssdreg.exporting.reading import Operator
from ssdreg.exporting.writer import Value, Writer

Translation = Callable[[Operator, Sequence[Value], Writer], "list[Value]"]

TRANSLATIONS: dict[str, Translation] = {}
_FLOAT32 = np.dtype(np.float32)


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register a function as the translation of MXNet's operators of these names."""
    def register(function: Translation) -> Translation:
        for name in names:
            TRANSLATIONS[name] = function
        return function
    return register


def in_float32(function: Translation) -> Translation:
    """Let a translation compute in float32, in a file of float16 too.

    For sums of squares, which leave the range of float16, and for epsilons, which are 0 in it.
    """
    @functools.wraps(function)
    def write(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
        own = writer.dtype
        if own == _FLOAT32:
            return function(operator, inputs, writer)
        wide = [value if value.array is not None else
                writer.cast(value, _FLOAT32, f"{operator.name}_float32") for value in inputs]
        writer.dtype = _FLOAT32
        outputs = function(operator, wide, writer)
        writer.dtype = own
        return [writer.cast(value, own, f"{operator.name}_{own}") for value in outputs]
    return write


def unsupported(operator: Operator, why: str) -> ExportError:
    """Return the error that says which operator cannot be written, where it is, and why."""
    return ExportError(f"{operator.op} at node {operator.name!r} cannot be written as ONNX: {why}")


def translation_of(operator: Operator) -> Translation:
    """Return the translation of an operator; raise ExportError, naming the node, without one."""
    if operator.op not in TRANSLATIONS:
        raise unsupported(operator, "there is no translation of this operator")
    return TRANSLATIONS[operator.op]
