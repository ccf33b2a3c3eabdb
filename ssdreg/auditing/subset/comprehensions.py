"""Comprehensions of lists and dictionaries."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, Union

from attrs import evolve

from ssdreg.auditing.subset.expressions import (
    EXPRESSION_HANDLERS,
    CallFrame,
    evaluate,
    forget_maybe_evaluated,
)
from ssdreg.auditing.subset.ledger import LENGTH, SCALARS, Computed, unsupported_syntax
from ssdreg.auditing.subset.targets import assign, iterate

Comprehension = Union[ast.ListComp, ast.DictComp, ast.GeneratorExp]


def comprehend(node: Comprehension, frame: CallFrame) -> Any:
    """Evaluate a comprehension eagerly; its targets are names of its own scope."""
    line = node.lineno
    if any(part.is_async for part in node.generators):
        raise unsupported_syntax(node.generators[0])
    targets = frozenset(name.id for part in node.generators for name in ast.walk(part.target)
                        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))
    first = iterate(node.generators[0].iter, frame)
    if isinstance(first, Computed):
        return forget_maybe_evaluated([node], frame, line)
    frame.ledger.charge_steps(line, len(frame.values))
    inner = evolve(frame, local=frame.local | targets, values={
        name: value for name, value in frame.values.items() if name not in targets})
    result: Any = {} if isinstance(node, ast.DictComp) else []
    if not _fill(result, node, 0, first, inner):
        return forget_maybe_evaluated([node], frame, line)
    return frame.ledger.charge_value(line, result)


def _fill(result: Any, node: Comprehension, index: int, items: Iterable[Any],
          frame: CallFrame) -> bool:
    """Follow one ``for`` and those behind it; False where the result depends on computed values."""
    part, ledger = node.generators[index], frame.ledger
    ledger.enter(node.lineno)
    for item in items:
        assign(part.target, item, frame)
        added = _passes(part.ifs, frame)
        if added and index + 1 < len(node.generators):
            inner = iterate(node.generators[index + 1].iter, frame)
            added = (None if isinstance(inner, Computed) else
                     _fill(result, node, index + 1, inner, frame) or None)
        elif added:
            added = _add_element(result, node, frame) or None
        if added is None:
            ledger.forget(node.lineno, item, result)
            return False
    ledger.leave()
    return True


def _passes(conditions: Iterable[ast.expr], frame: CallFrame) -> bool | None:
    """Return whether an element passes all conditions; None where that is computed."""
    for condition in conditions:
        test = evaluate(condition, frame)
        if isinstance(test, Computed):
            return None
        if not test:
            return False
    return True


def _add_element(result: Any, node: Comprehension, frame: CallFrame) -> bool:
    """Add an element; False where its key is computed."""
    if isinstance(node, ast.DictComp):
        key, value = evaluate(node.key, frame), evaluate(node.value, frame)
        if not isinstance(key, SCALARS):
            frame.ledger.forget(node.lineno, key, value)
            return False
        result[key] = value
    else:
        result.append(evaluate(node.elt, frame))
    frame.ledger.check_size(node.lineno, len(result), LENGTH, f"a {type(result).__name__}",
                            "entries")
    return True


EXPRESSION_HANDLERS[ast.ListComp] = EXPRESSION_HANDLERS[ast.DictComp] = comprehend
