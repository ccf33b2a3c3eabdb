"""Comprehensions of lists and dictionaries."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, Union

from attrs import evolve

from ssdreg.audit.subset.expressions import HANDLERS, Frame, evaluate, perhaps
from ssdreg.audit.subset.ledger import LENGTH, SCALARS, Computed, unread
from ssdreg.audit.subset.targets import iterate, store

Comprehension = Union[ast.ListComp, ast.DictComp, ast.GeneratorExp]


def comprehend(node: Comprehension, frame: Frame) -> Any:
    """Work out a comprehension, all of it at once; its targets are names of its own."""
    line = node.lineno
    if any(part.is_async for part in node.generators):
        raise unread(node.generators[0])
    own = frozenset(each.id for part in node.generators for each in ast.walk(part.target)
                    if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))
    first = iterate(node.generators[0].iter, frame)
    if isinstance(first, Computed):
        return perhaps([node], frame, line)
    frame.ledger.spend(line, len(frame.values))
    inner = evolve(frame, local=frame.local | own, values={
        name: value for name, value in frame.values.items() if name not in own})
    made: Any = {} if isinstance(node, ast.DictComp) else []
    if not _filled(made, node, 0, first, inner):
        return perhaps([node], frame, line)
    return frame.ledger.made(line, made)


def _filled(made: Any, node: Comprehension, index: int, items: Iterable[Any],
            frame: Frame) -> bool:
    """Follow one ``for`` and all behind it; False where something computed decides."""
    part, ledger = node.generators[index], frame.ledger
    ledger.enter(node.lineno)
    for item in items:
        store(part.target, item, frame)
        passed = _passes(part.ifs, frame)
        if passed and index + 1 < len(node.generators):
            inner = iterate(node.generators[index + 1].iter, frame)
            passed = (None if isinstance(inner, Computed) else
                      _filled(made, node, index + 1, inner, frame) or None)
        elif passed:
            passed = _added(made, node, frame) or None
        if passed is None:
            ledger.spoil(node.lineno, item, made)
            return False
    ledger.leave()
    return True


def _passes(conditions: Iterable[ast.expr], frame: Frame) -> bool | None:
    """Tell whether an element is wanted; None where that is computed."""
    for condition in conditions:
        test = evaluate(condition, frame)
        if isinstance(test, Computed):
            return None
        if not test:
            return False
    return True


def _added(made: Any, node: Comprehension, frame: Frame) -> bool:
    """Add an element; False where its key is computed."""
    if isinstance(node, ast.DictComp):
        key, value = evaluate(node.key, frame), evaluate(node.value, frame)
        if not isinstance(key, SCALARS):
            frame.ledger.spoil(node.lineno, key, value)
            return False
        made[key] = value
    else:
        made.append(evaluate(node.elt, frame))
    frame.ledger.fits(node.lineno, len(made), LENGTH, f"a {type(made).__name__}", "entries")
    return True


HANDLERS[ast.ListComp] = HANDLERS[ast.DictComp] = comprehend
