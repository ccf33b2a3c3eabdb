"""Expressions: literals, names, operators, comparisons, subscripts."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from ssdreg.audit.subset.ledger import (
    BITS,
    LENGTH,
    MUTABLE,
    SCALARS,
    Computed,
    Ledger,
    NoConfigurationError,
    Undecided,
    unread,
)

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow}
_IN_PLACE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.iadd, ast.Mult: operator.imul}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}


@frozen(eq=False)
class Frame:
    """What is known while one call of the function is followed.

    `values` are the names bound by now, `local` those that are the function's own, bound or not;
    `hidden` are Python's functions that the module gives another meaning. Lists and dictionaries
    are real ones, shared by all names that share them.
    """

    values: dict[str, Any]
    local: frozenset[str]
    hidden: frozenset[str]
    ledger: Ledger


def evaluate(expression: ast.expr, frame: Frame) -> Any:
    """Work an expression out; `Computed` where it uses what is not followed.

    Raises NoConfigurationError for an expression that is not read, that Python would raise an
    error at, or that would take too much.
    """
    handler = HANDLERS.get(type(expression))
    if handler is None:
        raise unread(expression)
    ledger = frame.ledger
    ledger.spend(expression.lineno)
    ledger.enter(expression.lineno)
    value = ledger.known(handler(expression, frame))
    ledger.leave()
    return value


def truth(expression: ast.expr, frame: Frame) -> bool:
    """Tell whether an expression is true; raise NoConfigurationError where it is computed."""
    value = evaluate(expression, frame)
    if isinstance(value, Computed):
        raise NoConfigurationError("what decides between its configurations is computed",
                                   value.line)
    return bool(value)


def perhaps(nodes: Iterable[ast.expr], frame: Frame, line: int) -> Computed:
    """Forget what expressions touch that are evaluated or not, nobody knows."""
    names = {node.id for expression in nodes for node in ast.walk(expression)
             if isinstance(node, ast.Name)}
    return frame.ledger.spoil(line, *(frame.values[name] for name in names & set(frame.values)))


def _constant(node: ast.Constant, frame: Frame) -> Any:
    if not isinstance(node.value, SCALARS):
        return Computed(node.lineno)
    return frame.ledger.made(node.lineno, node.value)


def _name(node: ast.Name, frame: Frame) -> Any:
    if node.id in frame.values:
        return frame.values[node.id]
    if node.id in frame.local:
        raise NoConfigurationError(f"{node.id!r} has no value yet", node.lineno)
    return Computed(node.lineno)  # of the module, or Python's own


def _sequence(node: ast.List | ast.Tuple, frame: Frame) -> Any:
    found: list[Any] = []
    for item in node.elts:
        if not isinstance(item, ast.Starred):
            found.append(evaluate(item, frame))
            continue
        inner = evaluate(item.value, frame)
        if isinstance(inner, Computed):
            # how many there are is unknown, so that the rest is only looked at
            return frame.ledger.spoil(node.lineno, found, *(
                evaluate(each.value if isinstance(each, ast.Starred) else each, frame)
                for each in node.elts[node.elts.index(item) + 1:]))
        found += frame.ledger.listed(node.lineno, inner)
    return frame.ledger.made(node.lineno, found if isinstance(node, ast.List) else tuple(found))


def _dict(node: ast.Dict, frame: Frame) -> Any:
    found: dict[Any, Any] = {}
    lost = []
    for key_node, value_node in zip(node.keys, node.values):
        key = evaluate(key_node, frame) if key_node else None
        value = evaluate(value_node, frame)
        if key_node and isinstance(key, SCALARS):
            found[key] = value
        elif key_node is None and isinstance(value, dict):
            found.update(value)
        else:
            lost += [key, value]
    if lost:
        return frame.ledger.spoil(node.lineno, found, lost)
    return frame.ledger.made(node.lineno, found)


def _unary(node: ast.UnaryOp, frame: Frame) -> Any:
    value = evaluate(node.operand, frame)
    if isinstance(value, Computed) or not isinstance(node.op, (ast.Not, *_UNARY)):
        return frame.ledger.spoil(node.lineno, value)
    if isinstance(node.op, ast.Not):
        return not value
    return frame.ledger.attempt(node.lineno, _UNARY[type(node.op)], value)


def _binary(node: ast.BinOp, frame: Frame) -> Any:
    left, right = evaluate(node.left, frame), evaluate(node.right, frame)
    return combine(node.op, left, right, frame, node.lineno, _BINARY)


def combine(op: ast.operator, left: Any, right: Any, frame: Frame, line: int,
            table: dict[type[ast.operator], Callable[[Any, Any], Any]]) -> Any:
    """Work out ``left op right`` by a table of operators; bounded before it is tried."""
    ledger = frame.ledger
    if type(op) not in table or isinstance(left, Computed) or isinstance(right, Computed):
        return ledger.spoil(line, left, right)
    if isinstance(op, ast.Mod) and isinstance(left, str):
        return ledger.spoil(line, right)  # fills in texts, which is not followed
    if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int) and right > 0:
        ledger.fits(line, left.bit_length() * right, BITS, "a number", "bits")
    if isinstance(op, ast.Mult):
        for some, times in ((left, right), (right, left)):
            if isinstance(some, (str, list, tuple)) and isinstance(times, int):
                ledger.fits(line, len(some) * times, LENGTH, f"a {type(some).__name__}", "entries")
    if table is _IN_PLACE and isinstance(right, range):
        right = ledger.listed(line, right)
    value = ledger.attempt(line, table[type(op)], left, right)
    return Computed(line) if isinstance(value, complex) else value


def in_place(op: ast.operator, left: Any, right: Any, frame: Frame, line: int) -> Any:
    """Work out ``left op= right``, which changes a list that all its names share."""
    if isinstance(left, list) and type(op) in _IN_PLACE:
        return combine(op, left, right, frame, line, _IN_PLACE)
    return combine(op, left, right, frame, line, _BINARY)


def _bool(node: ast.BoolOp, frame: Frame) -> Any:
    wanted, value = isinstance(node.op, ast.Or), None
    for index, item in enumerate(node.values):
        value = evaluate(item, frame)
        rest = node.values[index + 1:]
        if rest and isinstance(value, Computed):
            return perhaps(rest, frame, value.line)
        if bool(value) is wanted:
            break
    return value


def _compare(node: ast.Compare, frame: Frame) -> Any:
    left, value = evaluate(node.left, frame), None
    for index, (op, after) in enumerate(zip(node.ops, node.comparators)):
        right = evaluate(after, frame)
        try:
            value = _compared(op, left, right, frame.ledger, node.lineno)
        except Undecided:
            perhaps(node.comparators[index + 1:], frame, node.lineno)
            return frame.ledger.spoil(node.lineno, left, right)
        if not value:
            break
        left = right
    return value


def _compared(op: ast.cmpop, left: Any, right: Any, ledger: Ledger, line: int) -> bool:
    if isinstance(op, (ast.Is, ast.IsNot)):
        # whether equal numbers, texts and tuples are one object is not the language's
        computed = any(isinstance(each, Computed) for each in (left, right))
        sure = any(each is None or isinstance(each, (bool, *MUTABLE)) for each in (left, right))
        if computed or not sure:
            raise Undecided
        return (left is right) is isinstance(op, ast.Is)
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return ledger.equal(line, left, right) is isinstance(op, ast.Eq)
    if any(isinstance(each, Computed) for each in (left, right)):
        raise Undecided
    if isinstance(op, (ast.In, ast.NotIn)):
        return _contains(left, right, ledger, line) is isinstance(op, ast.In)
    if type(left) is type(right) and isinstance(left, (list, tuple)):
        raise Undecided  # the order of lists is not followed
    return bool(ledger.attempt(line, _ORDER[type(op)], left, right))


def _contains(value: Any, among: Any, ledger: Ledger, line: int) -> bool:
    if isinstance(among, (list, tuple)):
        return any(ledger.same(line, each, value) for each in among)
    if isinstance(among, dict) and isinstance(value, tuple):
        raise Undecided
    if isinstance(among, range) and not isinstance(value, int):
        raise Undecided
    return bool(ledger.attempt(line, operator.contains, among, value))


def _if(node: ast.IfExp, frame: Frame) -> Any:
    test = evaluate(node.test, frame)
    if isinstance(test, Computed):
        return perhaps((node.body, node.orelse), frame, test.line)
    return evaluate(node.body if test else node.orelse, frame)


def slice_of(node: ast.expr, frame: Frame) -> Any:
    """Work out what stands in the brackets of a subscript."""
    if not isinstance(node, ast.Slice):
        return evaluate(node, frame)
    ends = [evaluate(end, frame) if end else None for end in (node.lower, node.upper, node.step)]
    if any(isinstance(end, Computed) for end in ends):
        return Computed(node.lineno)
    return slice(*ends)


def _subscript(node: ast.Subscript, frame: Frame) -> Any:
    holder, index = evaluate(node.value, frame), slice_of(node.slice, frame)
    return fetch(holder, index, frame, node.lineno)


def fetch(holder: Any, index: Any, frame: Frame, line: int) -> Any:
    """Work out ``holder[index]``; a slice of a list is a list of its own."""
    if isinstance(holder, Computed) or isinstance(index, Computed):
        return frame.ledger.spoil(line, holder, index)
    if isinstance(holder, dict) and isinstance(index, tuple):
        return frame.ledger.spoil(line, holder)
    ledger = frame.ledger
    if isinstance(index, slice):
        return ledger.attempt(line, operator.getitem, holder, index)
    # an element was charged when it was made
    try:
        return holder[index]
    except (TypeError, LookupError, OverflowError) as error:
        raise NoConfigurationError(f"it raises {type(error).__name__} for this network and input "
                                   f"size", line) from error


def _attribute(node: ast.Attribute, frame: Frame) -> Any:
    # a method kept for later, or anything of something unknown
    return frame.ledger.spoil(node.lineno, evaluate(node.value, frame))


def _text(node: ast.JoinedStr, frame: Frame) -> Any:
    for part in ast.walk(node):
        if isinstance(part, ast.FormattedValue):
            frame.ledger.spoil(node.lineno, evaluate(part.value, frame))
    return Computed(node.lineno)


#: By the kind of node; calls and comprehensions are added by the modules that follow them.
HANDLERS: dict[type[ast.expr], Callable[[Any, Frame], Any]] = {
    ast.Constant: _constant, ast.Name: _name, ast.List: _sequence, ast.Tuple: _sequence,
    ast.Dict: _dict, ast.UnaryOp: _unary, ast.BinOp: _binary, ast.BoolOp: _bool,
    ast.Compare: _compare, ast.IfExp: _if, ast.Subscript: _subscript, ast.Attribute: _attribute,
    ast.JoinedStr: _text}
