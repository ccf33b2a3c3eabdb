"""Targets of assignments, and the iterables of loops."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from ssdreg.auditing.subset.expressions import CallFrame, evaluate, evaluate_index
from ssdreg.auditing.subset.ledger import (
    LENGTH,
    SCALARS,
    Computed,
    NoConfigurationError,
    unsupported_syntax,
)

_LOOPS = {"enumerate": enumerate, "zip": zip, "reversed": reversed}
_VIEWS = {"items": dict.items, "keys": dict.keys, "values": dict.values}


def assign(target: ast.expr, value: Any, frame: CallFrame) -> None:
    """Assign a value to a name, a subscript, an attribute, or several of them."""
    ledger, line = frame.ledger, target.lineno
    ledger.charge_steps(line)
    if isinstance(target, ast.Name):
        frame.values[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        ledger.enter(line)
        for element, part in zip(target.elts, _unpack(value, len(target.elts), line, frame)):
            assign(element, part, frame)
        ledger.leave()
    elif isinstance(target, ast.Subscript):
        set_item(evaluate(target.value, frame), evaluate_index(target.slice, frame), value, frame,
                 line)
    elif isinstance(target, ast.Attribute):
        ledger.forget(line, evaluate(target.value, frame), value)
    else:
        raise unsupported_syntax(target)


def _unpack(value: Any, count: int, line: int, frame: CallFrame) -> Sequence[Any]:
    if isinstance(value, Computed):
        return [value] * count
    parts = frame.ledger.to_list(line, value)
    if len(parts) != count:
        raise NoConfigurationError("it raises ValueError for this network and input size", line)
    return parts


def set_item(holder: Any, index: Any, value: Any, frame: CallFrame, line: int) -> None:
    """Do ``holder[index] = value``."""
    ledger = frame.ledger
    if (isinstance(holder, Computed) or isinstance(index, Computed)
            or (isinstance(holder, dict) and isinstance(index, tuple))
            or (isinstance(index, slice) and isinstance(value, Computed))):
        ledger.forget(line, holder, index, value)
        return
    if isinstance(index, slice) and isinstance(value, range):
        value = ledger.to_list(line, value)
    ledger.call(line, operator.setitem, holder, index, value)
    ledger.check_size(line, len(holder), LENGTH, f"a {type(holder).__name__}", "entries")
    if isinstance(index, slice):
        ledger.charge_steps(line, len(holder))


def delete(target: ast.expr, frame: CallFrame) -> None:
    """Do ``del target``."""
    ledger, line = frame.ledger, target.lineno
    ledger.charge_steps(line)
    if isinstance(target, ast.Name):
        if target.id not in frame.values:
            raise NoConfigurationError(f"{target.id!r} has no value yet", line)
        del frame.values[target.id]
    elif isinstance(target, ast.Subscript):
        holder, index = evaluate(target.value, frame), evaluate_index(target.slice, frame)
        if (isinstance(holder, Computed) or isinstance(index, Computed)
                or (isinstance(holder, dict) and not isinstance(index, SCALARS))):
            ledger.forget(line, holder, index)
        else:
            ledger.call(line, operator.delitem, holder, index)
    else:
        raise unsupported_syntax(target)


def iterate(node: ast.expr, frame: CallFrame) -> Iterator[Any] | Computed:
    """Return an iterator over an expression's items; `Computed` where it is not known.

    The iterator raises NoConfigurationError when the iterable becomes unknown during the loop.
    """
    ledger, line = frame.ledger, node.lineno
    if not is_loop_call(node, frame):
        return _iterate_call(iter, [evaluate(node, frame)], line, frame)
    assert isinstance(node, ast.Call)
    ledger.charge_steps(line)
    if isinstance(node.func, ast.Name):
        return _iterate_call(_LOOPS[node.func.id], [
            iterate(argument, frame) if is_loop_call(argument, frame) else evaluate(argument, frame)
            for argument in node.args], line, frame)
    assert isinstance(node.func, ast.Attribute)
    receiver = evaluate(node.func.value, frame)
    if not isinstance(receiver, dict):
        return ledger.forget(line, receiver)
    return _iterate_call(_VIEWS[node.func.attr], [receiver], line, frame)


def is_loop_call(node: ast.expr, frame: CallFrame) -> bool:
    """Tell whether an expression is a call that is followed only as the iterable of a loop."""
    if not isinstance(node, ast.Call) or node.keywords or any(
            isinstance(argument, ast.Starred) for argument in node.args):
        return False
    if isinstance(node.func, ast.Name):
        name = node.func.id
        return name in _LOOPS and name not in frame.local and name not in frame.hidden
    return isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not node.args


def _iterate_call(function: Any, iterables: Sequence[Any], line: int, frame: CallFrame
                  ) -> Iterator[Any] | Computed:
    ledger = frame.ledger
    if any(isinstance(iterable, Computed) for iterable in iterables):
        return ledger.forget(line, *iterables)
    # Python's own iterators, which see changes of a list during the loop
    items = ledger.call(line, lambda: iter(function(*iterables)))

    def known_items() -> Iterator[Any]:
        end = object()
        while True:
            ledger.charge_steps(line)
            if any(isinstance(ledger.known(iterable), Computed) for iterable in iterables):
                raise NoConfigurationError("it loops over what is computed", line)
            item = ledger.call(line, next, items, end)
            if item is end:
                return
            yield ledger.known(item)

    return known_items()
