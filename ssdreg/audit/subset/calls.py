"""Calls: of Python's functions that do no harm, of methods of lists, dictionaries and texts."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from attrs import frozen

from ssdreg.audit.subset.comprehensions import comprehend
from ssdreg.audit.subset.expressions import HANDLERS, Frame, evaluate
from ssdreg.audit.subset.ledger import (
    LENGTH,
    MUTABLE,
    SCALARS,
    Computed,
    NoConfigurationError,
)
from ssdreg.audit.subset.targets import is_loop, iterate

_NUMBERS = (int, float)
#: Decimals that `round` is asked for; more would make a number of as many digits.
_MOST_DECIMALS = 20
#: Read or write the names of the function that calls them; none of it can be followed.
_OF_THE_FRAME = {"locals", "vars", "dir", "eval", "exec", "globals", "super"}

#: Functions of values.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "int": int, "float": float, "str": str, "bool": bool, "abs": abs, "round": round,
    "range": range}
#: Functions of all that something to loop over gives.
CONSUMERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list, "tuple": tuple, "sorted": sorted, "sum": sum, "min": min, "max": max}
_ORDERED = {"sorted", "sum", "min", "max"}


def call(node: ast.Call, frame: Frame) -> Any:
    """Work a call out, or forget all that it is given."""
    line, name = node.lineno, node.func.id if isinstance(node.func, ast.Name) else ""
    if name in _OF_THE_FRAME:
        raise NoConfigurationError(f"a call of {name} is not read", line)
    starred = any(isinstance(each, ast.Starred) for each in node.args)
    if name and name not in frame.local and name not in frame.hidden and not starred:
        if name == "dict" and len(node.args) < 2 and all(each.arg for each in node.keywords):
            return _dict(node, frame)
        if name in CONSUMERS and len(node.args) == 1 and not node.keywords:
            return _consume(name, node.args[0], line, frame)
        if name in {"min", "max"} and len(node.args) > 1 and not node.keywords:
            return _ordered(name, [evaluate(each, frame) for each in node.args], line, frame)
        if name in FUNCTIONS and not node.keywords:
            return _function(name, [evaluate(each, frame) for each in node.args], line, frame)
    if isinstance(node.func, ast.Attribute):
        receiver = evaluate(node.func.value, frame)
        if (type(receiver), node.func.attr) in METHODS and not starred and not node.keywords:
            values = [evaluate(each, frame) for each in node.args]
            # an argument may have handed it to somebody
            receiver = frame.ledger.known(receiver)
            if not isinstance(receiver, Computed):
                return _method(node.func.attr, receiver, values, line, frame)
            return frame.ledger.spoil(line, *values)
    else:
        receiver = evaluate(node.func, frame)
    return frame.ledger.spoil(line, receiver, *_arguments(node, frame))


def _arguments(node: ast.Call, frame: Frame) -> list[Any]:
    found = [evaluate(each.value if isinstance(each, ast.Starred) else each, frame)
             for each in node.args]
    return found + [evaluate(each.value, frame) for each in node.keywords]


def _function(name: str, values: list[Any], line: int, frame: Frame) -> Any:
    ledger = frame.ledger
    if any(isinstance(value, Computed) for value in values):
        return ledger.spoil(line, *values)
    if name == "str" and not all(isinstance(value, SCALARS) for value in values):
        return Computed(line)
    if name == "round" and len(values) == 2 and not (
            isinstance(values[1], int) and abs(values[1]) <= _MOST_DECIMALS):
        return Computed(line)
    if name in {"int", "float"} and values and isinstance(values[0], str):
        if len(values) > 1:
            return Computed(line)
        # reading digits takes time by their number, and more than that
        ledger.spend(line, len(values[0]))
    return ledger.attempt(line, FUNCTIONS[name], *values)


def _consume(name: str, node: ast.expr, line: int, frame: Frame) -> Any:
    """Work out a function of all that a loop over an expression gives."""
    if isinstance(node, ast.GeneratorExp):
        items = comprehend(node, frame)
    else:
        loop = iterate(node, frame)
        items = loop if isinstance(loop, Computed) else _all(loop, line, frame)
    if isinstance(items, Computed):
        return items
    if name in _ORDERED:
        return _ordered(name, items, line, frame)
    return frame.ledger.attempt(line, CONSUMERS[name], items)


def _all(loop: Any, line: int, frame: Frame) -> list[Any]:
    found: list[Any] = []
    for item in loop:
        found.append(item)
        frame.ledger.fits(line, len(found), LENGTH, "a list", "entries")
    return found


def _ordered(name: str, values: list[Any], line: int, frame: Frame) -> Any:
    """Sort, add, or take the least or greatest, of numbers or of texts."""
    if not all(isinstance(value, _NUMBERS) for value in values) and not (
            all(isinstance(value, str) for value in values)):
        return frame.ledger.spoil(line, *values)
    return frame.ledger.attempt(line, CONSUMERS[name], values)


def _dict(node: ast.Call, frame: Frame) -> Any:
    """Work out ``dict(mapping, name=value)`` or ``dict(pairs, name=value)``."""
    ledger, line, found = frame.ledger, node.lineno, dict[Any, Any]()
    for argument in node.args:
        if is_loop(argument, frame):
            given = iterate(argument, frame)
            pairs = given if isinstance(given, Computed) else _all(given, line, frame)
        else:
            given = evaluate(argument, frame)
            pairs = list(given.items()) if isinstance(given, dict) else given
        if not isinstance(pairs, (list, tuple)) or not all(map(_is_pair, pairs)):
            return ledger.spoil(line, pairs, *(evaluate(each.value, frame)
                                               for each in node.keywords))
        found.update(pairs)
    found.update({str(each.arg): evaluate(each.value, frame) for each in node.keywords})
    return ledger.made(line, found)


def _is_pair(value: Any) -> bool:
    return (isinstance(value, (list, tuple)) and len(value) == 2
            and isinstance(value[0], SCALARS))


@frozen
class Method:
    """A method that is followed: what does it, and which arguments it only keeps or hands on."""

    function: Callable[..., Any]
    keeps: tuple[int, ...] = ()


METHODS: dict[tuple[type, str], Method] = {
    (list, "append"): Method(list.append, (0,)), (list, "insert"): Method(list.insert, (1,)),
    (list, "extend"): Method(list.extend), (list, "pop"): Method(list.pop),
    (list, "reverse"): Method(list.reverse), (list, "copy"): Method(list.copy),
    (list, "clear"): Method(list.clear),
    (dict, "get"): Method(dict.get, (1,)), (dict, "setdefault"): Method(dict.setdefault, (1,)),
    (dict, "pop"): Method(dict.pop, (1,)), (dict, "update"): Method(dict.update),
    (dict, "copy"): Method(dict.copy), (dict, "clear"): Method(dict.clear),
    (str, "startswith"): Method(str.startswith), (str, "endswith"): Method(str.endswith),
    (str, "lower"): Method(str.lower), (str, "upper"): Method(str.upper),
    (str, "strip"): Method(str.strip)}


def _method(name: str, receiver: Any, values: list[Any], line: int, frame: Frame) -> Any:
    ledger, method = frame.ledger, METHODS[type(receiver), name]
    computed = any(isinstance(value, Computed) and place not in method.keeps
                   for place, value in enumerate(values))
    # a tuple as a key, pairs instead of a dictionary
    unusual = isinstance(receiver, dict) and bool(values) and not isinstance(
        values[0], dict if name == "update" else SCALARS)
    if computed or unusual:
        return ledger.spoil(line, receiver, *values)
    if name == "extend":
        values = [ledger.listed(line, value) for value in values]
    found = ledger.attempt(line, method.function, receiver, *values)
    if isinstance(receiver, MUTABLE):
        ledger.fits(line, len(receiver), LENGTH, f"a {type(receiver).__name__}", "entries")
    return found


HANDLERS[ast.Call] = call
