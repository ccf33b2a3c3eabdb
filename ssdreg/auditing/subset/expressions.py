"""Expressions: literals, names, operators, comparisons, subscripts."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from ssdreg.auditing.subset.ledger import (
    BITS,
    LENGTH,
    MUTABLE,
    SCALARS,
    Computed,
    Ledger,
    NoConfigurationError,
    UndecidedComparison,
    unsupported_syntax,
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
class CallFrame:
    """The names and objects of one call of the function while it is followed.

    `values` are the values of names bound so far, `local` the function's local names, bound or not;
    `hidden` are Python's functions that the module redefines. Lists and dictionaries are real
    ones, shared by all names that share them.
    """

    values: dict[str, Any]
    local: frozenset[str]
    hidden: frozenset[str]
    ledger: Ledger


def evaluate(expression: ast.expr, frame: CallFrame) -> Any:
    """Evaluate an expression; `Computed` where it uses what is not followed.

    Raises NoConfigurationError for an expression outside the subset, one that would raise an
    error in Python, and one that exceeds the limits.
    """
    handler = EXPRESSION_HANDLERS.get(type(expression))
    if handler is None:
        raise unsupported_syntax(expression)
    ledger = frame.ledger
    ledger.charge_steps(expression.lineno)
    ledger.enter(expression.lineno)
    value = ledger.known(handler(expression, frame))
    ledger.leave()
    return value


def evaluate_truth(expression: ast.expr, frame: CallFrame) -> bool:
    """Return whether an expression is true; raise NoConfigurationError where it is computed."""
    value = evaluate(expression, frame)
    if isinstance(value, Computed):
        raise NoConfigurationError("what decides between its configurations is computed",
                                   value.line)
    return bool(value)


def forget_maybe_evaluated(nodes: Iterable[ast.expr], frame: CallFrame, line: int) -> Computed:
    """Forget the values of the names in expressions that Python may or may not evaluate."""
    names = {node.id for expression in nodes for node in ast.walk(expression)
             if isinstance(node, ast.Name)}
    return frame.ledger.forget(line, *(frame.values[name] for name in names & set(frame.values)))


def _constant(node: ast.Constant, frame: CallFrame) -> Any:
    if not isinstance(node.value, SCALARS):
        return Computed(node.lineno)
    return frame.ledger.charge_value(node.lineno, node.value)


def _name(node: ast.Name, frame: CallFrame) -> Any:
    if node.id in frame.values:
        return frame.values[node.id]
    if node.id in frame.local:
        raise NoConfigurationError(f"{node.id!r} has no value yet", node.lineno)
    return Computed(node.lineno)  # of the module, or Python's own


def _sequence(node: ast.List | ast.Tuple, frame: CallFrame) -> Any:
    elements: list[Any] = []
    for item in node.elts:
        if not isinstance(item, ast.Starred):
            elements.append(evaluate(item, frame))
            continue
        starred = evaluate(item.value, frame)
        if isinstance(starred, Computed):
            # the number of elements is unknown; the rest is evaluated for its effects
            return frame.ledger.forget(node.lineno, elements, *(
                evaluate(rest.value if isinstance(rest, ast.Starred) else rest, frame)
                for rest in node.elts[node.elts.index(item) + 1:]))
        elements += frame.ledger.to_list(node.lineno, starred)
    value = elements if isinstance(node, ast.List) else tuple(elements)
    return frame.ledger.charge_value(node.lineno, value)


def _dict(node: ast.Dict, frame: CallFrame) -> Any:
    entries: dict[Any, Any] = {}
    unknown = []
    for key_node, value_node in zip(node.keys, node.values):
        key = evaluate(key_node, frame) if key_node else None
        value = evaluate(value_node, frame)
        if key_node and isinstance(key, SCALARS):
            entries[key] = value
        elif key_node is None and isinstance(value, dict):
            entries.update(value)
        else:
            unknown += [key, value]
    if unknown:
        return frame.ledger.forget(node.lineno, entries, unknown)
    return frame.ledger.charge_value(node.lineno, entries)


def _unary(node: ast.UnaryOp, frame: CallFrame) -> Any:
    value = evaluate(node.operand, frame)
    if isinstance(value, Computed) or not isinstance(node.op, (ast.Not, *_UNARY)):
        return frame.ledger.forget(node.lineno, value)
    if isinstance(node.op, ast.Not):
        return not value
    return frame.ledger.call(node.lineno, _UNARY[type(node.op)], value)


def _binary(node: ast.BinOp, frame: CallFrame) -> Any:
    left, right = evaluate(node.left, frame), evaluate(node.right, frame)
    return apply_operator(node.op, left, right, frame, node.lineno, _BINARY)


def apply_operator(op: ast.operator, left: Any, right: Any, frame: CallFrame, line: int,
                   table: dict[type[ast.operator], Callable[[Any, Any], Any]]) -> Any:
    """Evaluate ``left op right`` by a table of operators, after a check of the result's size."""
    ledger = frame.ledger
    if type(op) not in table or isinstance(left, Computed) or isinstance(right, Computed):
        return ledger.forget(line, left, right)
    if isinstance(op, ast.Mod) and isinstance(left, str):
        return ledger.forget(line, right)  # string formatting is not followed
    if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int) and right > 0:
        ledger.check_size(line, left.bit_length() * right, BITS, "a number", "bits")
    if isinstance(op, ast.Mult):
        for sequence, factor in ((left, right), (right, left)):
            if isinstance(sequence, (str, list, tuple)) and isinstance(factor, int):
                ledger.check_size(line, len(sequence) * factor, LENGTH,
                                  f"a {type(sequence).__name__}", "entries")
    if table is _IN_PLACE and isinstance(right, range):
        right = ledger.to_list(line, right)
    value = ledger.call(line, table[type(op)], left, right)
    return Computed(line) if isinstance(value, complex) else value


def apply_in_place(op: ast.operator, left: Any, right: Any, frame: CallFrame, line: int) -> Any:
    """Evaluate ``left op= right``, which changes a list in place."""
    if isinstance(left, list) and type(op) in _IN_PLACE:
        return apply_operator(op, left, right, frame, line, _IN_PLACE)
    return apply_operator(op, left, right, frame, line, _BINARY)


def _bool(node: ast.BoolOp, frame: CallFrame) -> Any:
    decisive, value = isinstance(node.op, ast.Or), None
    for index, item in enumerate(node.values):
        value = evaluate(item, frame)
        rest = node.values[index + 1:]
        if rest and isinstance(value, Computed):
            return forget_maybe_evaluated(rest, frame, value.line)
        if bool(value) is decisive:
            break
    return value


def _compare(node: ast.Compare, frame: CallFrame) -> Any:
    left, value = evaluate(node.left, frame), None
    for index, (op, after) in enumerate(zip(node.ops, node.comparators)):
        right = evaluate(after, frame)
        try:
            value = _compare_operands(op, left, right, frame.ledger, node.lineno)
        except UndecidedComparison:
            forget_maybe_evaluated(node.comparators[index + 1:], frame, node.lineno)
            return frame.ledger.forget(node.lineno, left, right)
        if not value:
            break
        left = right
    return value


def _compare_operands(op: ast.cmpop, left: Any, right: Any, ledger: Ledger, line: int) -> bool:
    if isinstance(op, (ast.Is, ast.IsNot)):
        # Python does not define whether equal numbers, texts and tuples are one object
        computed = any(isinstance(operand, Computed) for operand in (left, right))
        decidable = any(operand is None or isinstance(operand, (bool, *MUTABLE))
                        for operand in (left, right))
        if computed or not decidable:
            raise UndecidedComparison
        return (left is right) is isinstance(op, ast.Is)
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return ledger.equal(line, left, right) is isinstance(op, ast.Eq)
    if any(isinstance(operand, Computed) for operand in (left, right)):
        raise UndecidedComparison
    if isinstance(op, (ast.In, ast.NotIn)):
        return _contains(left, right, ledger, line) is isinstance(op, ast.In)
    if type(left) is type(right) and isinstance(left, (list, tuple)):
        raise UndecidedComparison  # the order of lists is not followed
    return bool(ledger.call(line, _ORDER[type(op)], left, right))


def _contains(value: Any, container: Any, ledger: Ledger, line: int) -> bool:
    if isinstance(container, (list, tuple)):
        return any(ledger.identical_or_equal(line, element, value) for element in container)
    if isinstance(container, dict) and isinstance(value, tuple):
        raise UndecidedComparison
    if isinstance(container, range) and not isinstance(value, int):
        raise UndecidedComparison
    return bool(ledger.call(line, operator.contains, container, value))


def _if(node: ast.IfExp, frame: CallFrame) -> Any:
    test = evaluate(node.test, frame)
    if isinstance(test, Computed):
        return forget_maybe_evaluated((node.body, node.orelse), frame, test.line)
    return evaluate(node.body if test else node.orelse, frame)


def evaluate_index(node: ast.expr, frame: CallFrame) -> Any:
    """Evaluate the index or slice of a subscript."""
    if not isinstance(node, ast.Slice):
        return evaluate(node, frame)
    ends = [evaluate(end, frame) if end else None for end in (node.lower, node.upper, node.step)]
    if any(isinstance(end, Computed) for end in ends):
        return Computed(node.lineno)
    return slice(*ends)


def _subscript(node: ast.Subscript, frame: CallFrame) -> Any:
    holder, index = evaluate(node.value, frame), evaluate_index(node.slice, frame)
    return get_item(holder, index, frame, node.lineno)


def get_item(holder: Any, index: Any, frame: CallFrame, line: int) -> Any:
    """Evaluate ``holder[index]``; a slice of a list is a new list."""
    if isinstance(holder, Computed) or isinstance(index, Computed):
        return frame.ledger.forget(line, holder, index)
    if isinstance(holder, dict) and isinstance(index, tuple):
        return frame.ledger.forget(line, holder)
    ledger = frame.ledger
    if isinstance(index, slice):
        return ledger.call(line, operator.getitem, holder, index)
    # an element was charged when it was made
    try:
        return holder[index]
    except (TypeError, LookupError, OverflowError) as error:
        raise NoConfigurationError(f"it raises {type(error).__name__} for this network and input "
                                   f"size", line) from error


def _attribute(node: ast.Attribute, frame: CallFrame) -> Any:
    # a bound method kept for later, or an attribute of an unknown object
    return frame.ledger.forget(node.lineno, evaluate(node.value, frame))


def _text(node: ast.JoinedStr, frame: CallFrame) -> Any:
    for part in ast.walk(node):
        if isinstance(part, ast.FormattedValue):
            frame.ledger.forget(node.lineno, evaluate(part.value, frame))
    return Computed(node.lineno)


#: By the type of node; the modules of calls and comprehensions add theirs.
EXPRESSION_HANDLERS: dict[type[ast.expr], Callable[[Any, CallFrame], Any]] = {
    ast.Constant: _constant, ast.Name: _name, ast.List: _sequence, ast.Tuple: _sequence,
    ast.Dict: _dict, ast.UnaryOp: _unary, ast.BinOp: _binary, ast.BoolOp: _bool,
    ast.Compare: _compare, ast.IfExp: _if, ast.Subscript: _subscript, ast.Attribute: _attribute,
    ast.JoinedStr: _text}
