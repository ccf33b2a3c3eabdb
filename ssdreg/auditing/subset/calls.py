"""Calls of Python's harmless functions and of methods of lists, dictionaries and texts."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from attrs import frozen

from ssdreg.auditing.subset.comprehensions import comprehend
from ssdreg.auditing.subset.expressions import EXPRESSION_HANDLERS, CallFrame, evaluate
from ssdreg.auditing.subset.ledger import (
    LENGTH,
    MUTABLE,
    SCALARS,
    Computed,
    NoConfigurationError,
)
from ssdreg.auditing.subset.targets import is_loop_call, iterate

_NUMBERS = (int, float)
#: Bound of the decimals of `round`, which could make a number of as many digits.
_MAX_DECIMALS = 20
#: Functions that read or write the names of their caller, which cannot be followed.
_SCOPE_FUNCTIONS = {"locals", "vars", "dir", "eval", "exec", "globals", "super"}

#: Functions of values.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "int": int, "float": float, "str": str, "bool": bool, "abs": abs, "round": round,
    "range": range}
#: Functions that consume an iterable.
CONSUMERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list, "tuple": tuple, "sorted": sorted, "sum": sum, "min": min, "max": max}
_ORDERED = {"sorted", "sum", "min", "max"}


def evaluate_call(node: ast.Call, frame: CallFrame) -> Any:
    """Evaluate a call, or forget its receiver and arguments where it is not followed."""
    line, name = node.lineno, node.func.id if isinstance(node.func, ast.Name) else ""
    if name in _SCOPE_FUNCTIONS:
        raise NoConfigurationError(f"a call of {name} is not read", line)
    starred = any(isinstance(argument, ast.Starred) for argument in node.args)
    if name and name not in frame.local and name not in frame.hidden and not starred:
        if name == "dict" and len(node.args) < 2 and all(keyword.arg for keyword in node.keywords):
            return _call_dict(node, frame)
        if name in CONSUMERS and len(node.args) == 1 and not node.keywords:
            return _call_consumer(name, node.args[0], line, frame)
        if name in {"min", "max"} and len(node.args) > 1 and not node.keywords:
            return _call_ordering(name, _positional(node, frame), line, frame)
        if name in FUNCTIONS and not node.keywords:
            return _call_function(name, _positional(node, frame), line, frame)
    if isinstance(node.func, ast.Attribute):
        receiver = evaluate(node.func.value, frame)
        if (type(receiver), node.func.attr) in METHODS and not starred and not node.keywords:
            arguments = _positional(node, frame)
            # an argument may have made it unknown
            receiver = frame.ledger.known(receiver)
            if not isinstance(receiver, Computed):
                return _call_method(node.func.attr, receiver, arguments, line, frame)
            return frame.ledger.forget(line, *arguments)
    else:
        receiver = evaluate(node.func, frame)
    return frame.ledger.forget(line, receiver, *_arguments(node, frame))


def _positional(node: ast.Call, frame: CallFrame) -> list[Any]:
    return [evaluate(argument, frame) for argument in node.args]


def _arguments(node: ast.Call, frame: CallFrame) -> list[Any]:
    positional = [evaluate(argument.value if isinstance(argument, ast.Starred) else argument, frame)
                  for argument in node.args]
    return positional + [evaluate(keyword.value, frame) for keyword in node.keywords]


def _call_function(name: str, values: list[Any], line: int, frame: CallFrame) -> Any:
    ledger = frame.ledger
    if any(isinstance(value, Computed) for value in values):
        return ledger.forget(line, *values)
    if name == "str" and not all(isinstance(value, SCALARS) for value in values):
        return Computed(line)
    if name == "round" and len(values) == 2 and not (
            isinstance(values[1], int) and abs(values[1]) <= _MAX_DECIMALS):
        return Computed(line)
    if name in {"int", "float"} and values and isinstance(values[0], str):
        if len(values) > 1:
            return Computed(line)
        # parsing digits takes more than linear time
        ledger.charge_steps(line, len(values[0]))
    return ledger.call(line, FUNCTIONS[name], *values)


def _call_consumer(name: str, node: ast.expr, line: int, frame: CallFrame) -> Any:
    """Call one of `CONSUMERS` with the items of an expression."""
    if isinstance(node, ast.GeneratorExp):
        items = comprehend(node, frame)
    else:
        loop = iterate(node, frame)
        items = loop if isinstance(loop, Computed) else _collect(loop, line, frame)
    if isinstance(items, Computed):
        return items
    if name in _ORDERED:
        return _call_ordering(name, items, line, frame)
    return frame.ledger.call(line, CONSUMERS[name], items)


def _collect(loop: Any, line: int, frame: CallFrame) -> list[Any]:
    items: list[Any] = []
    for item in loop:
        items.append(item)
        frame.ledger.check_size(line, len(items), LENGTH, "a list", "entries")
    return items


def _call_ordering(name: str, values: list[Any], line: int, frame: CallFrame) -> Any:
    """Call one of `_ORDERED` with numbers or with texts."""
    if not all(isinstance(value, _NUMBERS) for value in values) and not (
            all(isinstance(value, str) for value in values)):
        return frame.ledger.forget(line, *values)
    return frame.ledger.call(line, CONSUMERS[name], values)


def _call_dict(node: ast.Call, frame: CallFrame) -> Any:
    """Evaluate ``dict(mapping, name=value)`` or ``dict(pairs, name=value)``."""
    ledger, line, result = frame.ledger, node.lineno, dict[Any, Any]()
    for argument in node.args:
        if is_loop_call(argument, frame):
            mapping = iterate(argument, frame)
            pairs = mapping if isinstance(mapping, Computed) else _collect(mapping, line, frame)
        else:
            mapping = evaluate(argument, frame)
            pairs = list(mapping.items()) if isinstance(mapping, dict) else mapping
        if not isinstance(pairs, (list, tuple)) or not all(map(_is_pair, pairs)):
            return ledger.forget(line, pairs, *(evaluate(keyword.value, frame)
                                                for keyword in node.keywords))
        result.update(pairs)
    result.update({str(keyword.arg): evaluate(keyword.value, frame) for keyword in node.keywords})
    return ledger.charge_value(line, result)


def _is_pair(value: Any) -> bool:
    return (isinstance(value, (list, tuple)) and len(value) == 2
            and isinstance(value[0], SCALARS))


@frozen
class Method:
    """A method that is followed: its function, and the indices of arguments that it only stores."""

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


def _call_method(name: str, receiver: Any, values: list[Any], line: int, frame: CallFrame) -> Any:
    ledger, method = frame.ledger, METHODS[type(receiver), name]
    computed = any(isinstance(value, Computed) and place not in method.keeps
                   for place, value in enumerate(values))
    # a tuple as a key, pairs instead of a dictionary
    unsupported = isinstance(receiver, dict) and bool(values) and not isinstance(
        values[0], dict if name == "update" else SCALARS)
    if computed or unsupported:
        return ledger.forget(line, receiver, *values)
    if name == "extend":
        values = [ledger.to_list(line, value) for value in values]
    result = ledger.call(line, method.function, receiver, *values)
    if isinstance(receiver, MUTABLE):
        ledger.check_size(line, len(receiver), LENGTH, f"a {type(receiver).__name__}", "entries")
    return result


EXPRESSION_HANDLERS[ast.Call] = evaluate_call
