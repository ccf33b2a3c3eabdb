"""What values are stored to, and what is looped over."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from ssdreg.audit.subset.expressions import Frame, evaluate, slice_of
from ssdreg.audit.subset.ledger import (
    LENGTH,
    SCALARS,
    Computed,
    NoConfigurationError,
    unread,
)

_LOOPS = {"enumerate": enumerate, "zip": zip, "reversed": reversed}
_VIEWS = {"items": dict.items, "keys": dict.keys, "values": dict.values}


def store(target: ast.expr, value: Any, frame: Frame) -> None:
    """Assign a value to a name, a subscript, an attribute, or several of them."""
    ledger, line = frame.ledger, target.lineno
    ledger.spend(line)
    if isinstance(target, ast.Name):
        frame.values[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        ledger.enter(line)
        for each, part in zip(target.elts, _unpacked(value, len(target.elts), line, frame)):
            store(each, part, frame)
        ledger.leave()
    elif isinstance(target, ast.Subscript):
        put(evaluate(target.value, frame), slice_of(target.slice, frame), value, frame, line)
    elif isinstance(target, ast.Attribute):
        ledger.spoil(line, evaluate(target.value, frame), value)
    else:
        raise unread(target)


def _unpacked(value: Any, count: int, line: int, frame: Frame) -> Sequence[Any]:
    if isinstance(value, Computed):
        return [value] * count
    found = frame.ledger.listed(line, value)
    if len(found) != count:
        raise NoConfigurationError("it raises ValueError for this network and input size", line)
    return found


def put(holder: Any, index: Any, value: Any, frame: Frame, line: int) -> None:
    """Do ``holder[index] = value``."""
    ledger = frame.ledger
    if (isinstance(holder, Computed) or isinstance(index, Computed)
            or (isinstance(holder, dict) and isinstance(index, tuple))
            or (isinstance(index, slice) and isinstance(value, Computed))):
        ledger.spoil(line, holder, index, value)
        return
    if isinstance(index, slice) and isinstance(value, range):
        value = ledger.listed(line, value)
    ledger.attempt(line, operator.setitem, holder, index, value)
    ledger.fits(line, len(holder), LENGTH, f"a {type(holder).__name__}", "entries")
    if isinstance(index, slice):
        ledger.spend(line, len(holder))


def remove(target: ast.expr, frame: Frame) -> None:
    """Do ``del target``."""
    ledger, line = frame.ledger, target.lineno
    ledger.spend(line)
    if isinstance(target, ast.Name):
        if target.id not in frame.values:
            raise NoConfigurationError(f"{target.id!r} has no value yet", line)
        del frame.values[target.id]
    elif isinstance(target, ast.Subscript):
        holder, index = evaluate(target.value, frame), slice_of(target.slice, frame)
        if (isinstance(holder, Computed) or isinstance(index, Computed)
                or (isinstance(holder, dict) and not isinstance(index, SCALARS))):
            ledger.spoil(line, holder, index)
        else:
            ledger.attempt(line, operator.delitem, holder, index)
    else:
        raise unread(target)


def iterate(node: ast.expr, frame: Frame) -> Iterator[Any] | Computed:
    """Return what looping over an expression gives, one by one, as the loop goes on.

    Raises NoConfigurationError, during the loop, when what is looped over is handed to somebody
    unknown meanwhile.
    """
    ledger, line = frame.ledger, node.lineno
    if not is_loop(node, frame):
        return _followed(iter, [evaluate(node, frame)], line, frame)
    assert isinstance(node, ast.Call)
    ledger.spend(line)
    if isinstance(node.func, ast.Name):
        return _followed(_LOOPS[node.func.id], [
            iterate(each, frame) if is_loop(each, frame) else evaluate(each, frame)
            for each in node.args], line, frame)
    assert isinstance(node.func, ast.Attribute)
    receiver = evaluate(node.func.value, frame)
    if not isinstance(receiver, dict):
        return ledger.spoil(line, receiver)
    return _followed(_VIEWS[node.func.attr], [receiver], line, frame)


def is_loop(node: ast.expr, frame: Frame) -> bool:
    """Tell whether an expression is one that is followed only where it is looped over."""
    if not isinstance(node, ast.Call) or node.keywords or any(
            isinstance(each, ast.Starred) for each in node.args):
        return False
    if isinstance(node.func, ast.Name):
        name = node.func.id
        return name in _LOOPS and name not in frame.local and name not in frame.hidden
    return isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not node.args


def _followed(function: Any, sources: Sequence[Any], line: int, frame: Frame
              ) -> Iterator[Any] | Computed:
    ledger = frame.ledger
    if any(isinstance(source, Computed) for source in sources):
        return ledger.spoil(line, *sources)
    # Python's own iterators, which see what happens to a list while it is looped over
    items = ledger.attempt(line, lambda: iter(function(*sources)))

    def loop() -> Iterator[Any]:
        ended = object()
        while True:
            ledger.spend(line)
            if any(isinstance(ledger.known(source), Computed) for source in sources):
                raise NoConfigurationError("it loops over what is computed", line)
            item = ledger.attempt(line, next, items, ended)
            if item is ended:
                return
            yield ledger.known(item)

    return loop()
