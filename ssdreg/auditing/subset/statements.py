"""Statements: a function's body, followed until it returns."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

# the handlers of calls and comprehensions
from ssdreg.auditing.subset import calls as calls
from ssdreg.auditing.subset.expressions import (
    CallFrame,
    apply_in_place,
    evaluate,
    evaluate_index,
    evaluate_truth,
    get_item,
)
from ssdreg.auditing.subset.ledger import Computed, NoConfigurationError, unsupported_syntax
from ssdreg.auditing.subset.targets import assign, delete, iterate, set_item


@frozen
class Returned:
    """The value that a function returned, and the line of the return."""

    value: Any
    line: int


#: Outcomes of a body that ends early without returning.
_BREAK, _CONTINUE = "break", "continue"


def follow(body: Sequence[ast.stmt], frame: CallFrame) -> Returned | str | None:
    """Follow statements until one returns, breaks or continues; None when none does.

    Raises NoConfigurationError as `evaluate` does, and for a statement outside the subset.
    """
    for statement in body:
        line = statement.lineno
        frame.ledger.charge_steps(line)
        frame.ledger.enter(line)
        handler = _STATEMENT_HANDLERS.get(type(statement))
        if handler is None:
            raise unsupported_syntax(statement)
        outcome = handler(statement, frame)
        frame.ledger.leave()
        if outcome is not None:
            return outcome
    return None


def _return(node: ast.Return, frame: CallFrame) -> Returned:
    value = node.value
    if (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
            and value.func.id == "locals" and not value.args and not value.keywords
            and not {"locals"} & (frame.local | frame.hidden)):
        return Returned(dict(frame.values), node.lineno)
    return Returned(evaluate(value, frame) if value else None, node.lineno)


def _raise(node: ast.Raise, frame: CallFrame) -> None:
    raise NoConfigurationError("get_config raises an error for it", node.lineno)


def _assert(node: ast.Assert, frame: CallFrame) -> None:
    if not evaluate_truth(node.test, frame):
        raise NoConfigurationError("get_config refuses this input size", node.lineno)


def _if(node: ast.If, frame: CallFrame) -> Returned | str | None:
    # a chain of elif counts as one nested level
    while not evaluate_truth(node.test, frame):
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            return follow(node.orelse, frame)
        node = node.orelse[0]
    return follow(node.body, frame)


def _assign(node: ast.Assign, frame: CallFrame) -> None:
    value = evaluate(node.value, frame)
    for target in node.targets:
        assign(target, frame.ledger.known(value), frame)


def _annotated(node: ast.AnnAssign, frame: CallFrame) -> None:
    if not isinstance(node.target, ast.Name):
        raise unsupported_syntax(node)
    if node.value is not None:
        assign(node.target, evaluate(node.value, frame), frame)


def _augmented(node: ast.AugAssign, frame: CallFrame) -> None:
    target, line = node.target, node.lineno
    if isinstance(target, ast.Subscript):
        holder, index = evaluate(target.value, frame), evaluate_index(target.slice, frame)
        before = frame.ledger.known(get_item(holder, index, frame, line))
        value = apply_in_place(node.op, before, evaluate(node.value, frame), frame, line)
        set_item(frame.ledger.known(holder), index, value, frame, line)
    elif isinstance(target, ast.Name):
        before = evaluate(ast.copy_location(ast.Name(target.id, ast.Load()), target), frame)
        value = apply_in_place(node.op, before, evaluate(node.value, frame), frame, line)
        assign(target, value, frame)
    else:
        frame.ledger.forget(line, evaluate(target.value, frame), evaluate(node.value, frame))


def _delete(node: ast.Delete, frame: CallFrame) -> None:
    for target in node.targets:
        delete(target, frame)


def _for(node: ast.For, frame: CallFrame) -> Returned | str | None:
    items = iterate(node.iter, frame)
    if isinstance(items, Computed):
        raise NoConfigurationError("what it loops over is computed", items.line)

    def iterations() -> Iterator[object]:
        for item in items:
            assign(node.target, item, frame)
            yield item
    return _loop(node, frame, iterations())


def _while(node: ast.While, frame: CallFrame) -> Returned | str | None:
    return _loop(node, frame, iter(lambda: evaluate_truth(node.test, frame), False))


def _loop(node: ast.For | ast.While, frame: CallFrame,
          iterations: Iterable[object]) -> Returned | str | None:
    """Follow a loop's body once for each of `iterations`, which bind the loop's target."""
    for _ in iterations:
        outcome = follow(node.body, frame)
        if outcome == _BREAK:
            return None
        if isinstance(outcome, Returned):
            return outcome
    return follow(node.orelse, frame)


def _expression(node: ast.Expr, frame: CallFrame) -> None:
    if not isinstance(node.value, ast.Constant):  # a docstring
        evaluate(node.value, frame)


def _import(node: ast.Import | ast.ImportFrom, frame: CallFrame) -> None:
    for alias in node.names:
        frame.values[alias.asname or alias.name.partition(".")[0]] = Computed(node.lineno)


_STATEMENT_HANDLERS: dict[type[ast.stmt], Callable[[Any, CallFrame], Any]] = {
    ast.Return: _return, ast.Raise: _raise, ast.Assert: _assert, ast.If: _if,
    ast.Assign: _assign, ast.AnnAssign: _annotated, ast.AugAssign: _augmented,
    ast.Delete: _delete, ast.For: _for, ast.While: _while, ast.Expr: _expression,
    ast.Import: _import, ast.ImportFrom: _import,
    ast.Pass: lambda node, frame: None, ast.Break: lambda node, frame: _BREAK,
    ast.Continue: lambda node, frame: _CONTINUE}
