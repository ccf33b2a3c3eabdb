"""Statements: a function's body, followed until it returns."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

# the handlers of calls and comprehensions
from ssdreg.audit.subset import calls as calls
from ssdreg.audit.subset.expressions import (
    Frame,
    evaluate,
    fetch,
    in_place,
    slice_of,
    truth,
)
from ssdreg.audit.subset.ledger import Computed, NoConfigurationError, unread
from ssdreg.audit.subset.targets import iterate, put, remove, store


@frozen
class Returned:
    """What a function returned."""

    value: Any
    line: int


#: How a body ends that neither returns nor comes to its end.
_BREAK, _CONTINUE = "break", "continue"


def run(body: Sequence[ast.stmt], frame: Frame) -> Returned | str | None:
    """Follow statements until one returns, breaks or continues; None when none does.

    Raises NoConfigurationError as `evaluate` does, and for a statement that is not read.
    """
    for statement in body:
        line = statement.lineno
        frame.ledger.spend(line)
        frame.ledger.enter(line)
        handler = _HANDLERS.get(type(statement))
        if handler is None:
            raise unread(statement)
        ended = handler(statement, frame)
        frame.ledger.leave()
        if ended is not None:
            return ended
    return None


def _return(node: ast.Return, frame: Frame) -> Returned:
    value = node.value
    if (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
            and value.func.id == "locals" and not value.args and not value.keywords
            and not {"locals"} & (frame.local | frame.hidden)):
        return Returned(dict(frame.values), node.lineno)
    return Returned(evaluate(value, frame) if value else None, node.lineno)


def _raise(node: ast.Raise, frame: Frame) -> None:
    raise NoConfigurationError("get_config raises an error for it", node.lineno)


def _assert(node: ast.Assert, frame: Frame) -> None:
    if not truth(node.test, frame):
        raise NoConfigurationError("get_config refuses this input size", node.lineno)


def _if(node: ast.If, frame: Frame) -> Returned | str | None:
    # a chain of elif is one level, however long
    while not truth(node.test, frame):
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            return run(node.orelse, frame)
        node = node.orelse[0]
    return run(node.body, frame)


def _assign(node: ast.Assign, frame: Frame) -> None:
    value = evaluate(node.value, frame)
    for target in node.targets:
        store(target, frame.ledger.known(value), frame)


def _annotated(node: ast.AnnAssign, frame: Frame) -> None:
    if not isinstance(node.target, ast.Name):
        raise unread(node)
    if node.value is not None:
        store(node.target, evaluate(node.value, frame), frame)


def _augmented(node: ast.AugAssign, frame: Frame) -> None:
    target, line = node.target, node.lineno
    if isinstance(target, ast.Subscript):
        holder, index = evaluate(target.value, frame), slice_of(target.slice, frame)
        before = frame.ledger.known(fetch(holder, index, frame, line))
        value = in_place(node.op, before, evaluate(node.value, frame), frame, line)
        put(frame.ledger.known(holder), index, value, frame, line)
    elif isinstance(target, ast.Name):
        before = evaluate(ast.copy_location(ast.Name(target.id, ast.Load()), target), frame)
        store(target, in_place(node.op, before, evaluate(node.value, frame), frame, line), frame)
    else:
        frame.ledger.spoil(line, evaluate(target.value, frame), evaluate(node.value, frame))


def _delete(node: ast.Delete, frame: Frame) -> None:
    for target in node.targets:
        remove(target, frame)


def _for(node: ast.For, frame: Frame) -> Returned | str | None:
    items = iterate(node.iter, frame)
    if isinstance(items, Computed):
        raise NoConfigurationError("what it loops over is computed", items.line)

    def turns() -> Iterator[object]:
        for item in items:
            store(node.target, item, frame)
            yield item
    return _loop(node, frame, turns())


def _while(node: ast.While, frame: Frame) -> Returned | str | None:
    return _loop(node, frame, iter(lambda: truth(node.test, frame), False))


def _loop(node: ast.For | ast.While, frame: Frame,
          turns: Iterable[object]) -> Returned | str | None:
    """Run a loop's body once for each turn, which is made ready as it is asked for."""
    for _ in turns:
        ended = run(node.body, frame)
        if ended == _BREAK:
            return None
        if isinstance(ended, Returned):
            return ended
    return run(node.orelse, frame)


def _expression(node: ast.Expr, frame: Frame) -> None:
    if not isinstance(node.value, ast.Constant):  # a docstring
        evaluate(node.value, frame)


def _import(node: ast.Import | ast.ImportFrom, frame: Frame) -> None:
    for alias in node.names:
        frame.values[alias.asname or alias.name.partition(".")[0]] = Computed(node.lineno)


_HANDLERS: dict[type[ast.stmt], Callable[[Any, Frame], Any]] = {
    ast.Return: _return, ast.Raise: _raise, ast.Assert: _assert, ast.If: _if,
    ast.Assign: _assign, ast.AnnAssign: _annotated, ast.AugAssign: _augmented,
    ast.Delete: _delete, ast.For: _for, ast.While: _while, ast.Expr: _expression,
    ast.Import: _import, ast.ImportFrom: _import,
    ast.Pass: lambda node, frame: None, ast.Break: lambda node, frame: _BREAK,
    ast.Continue: lambda node, frame: _CONTINUE}
