"""Reads what ``get_config(network, data_shape)`` of an SSD example's source file would return.

Nothing is executed. The function's body is followed statement by statement, and only what can do
no harm is worked out: literals, arithmetic, comparisons, list comprehensions. What else a name is
given stays `Computed`, and only matters when somebody asks for its value.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

FUNCTION = "get_config"

#: No list of a detector's configuration is longer; a product that would be is not worked out.
_LONGEST = 1000

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among}
_CALLS: dict[str, Callable[..., Any]] = {"len": len, "float": float, "int": int}


@frozen
class Computed:
    """Stands for a value that the source computes in a way that is not followed."""

    line: int


class NotLiteralError(Exception):
    """An expression, at `line`, is not worked out."""

    def __init__(self, line: int) -> None:
        super().__init__(f"it is computed, on line {line}")
        self.line = line


class NoConfigurationError(Exception):
    """The function gives no configuration for this network and shape; the message says why."""


@frozen(eq=False)
class Factory:
    """A source file's ``get_config``: the networks it asks for by name, and its syntax tree."""

    networks: tuple[str, ...]
    function: ast.FunctionDef = field(repr=False)

    def config(self, network: str, data_shape: int) -> dict[str, Any]:
        """Return the function's local names for this network and side, the arguments left out.

        Values that are not worked out are `Computed`. Raises NoConfigurationError.
        """
        names = [argument.arg for argument in self.function.args.args]
        values: dict[str, Any] = dict(zip(names, (network, data_shape)))
        try:
            returned = _run(self.function.body, values)
        except NotLiteralError as error:
            raise NoConfigurationError(
                f"what decides between its configurations is computed, on line {error.line}"
            ) from error
        if returned is None:
            raise NoConfigurationError(f"{FUNCTION} returns nothing for it")
        return {name: value for name, value in returned.items() if name not in names}


def read_factory(source: str) -> Factory | None:
    """Find ``get_config`` in a source text; None when there is none.

    Raises SyntaxError, ValueError or RecursionError when the text is no Python.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == FUNCTION and len(node.args.args) > 1:
            return Factory(_networks(node), node)
    return None


def _networks(function: ast.FunctionDef) -> tuple[str, ...]:
    """Return the names that the first argument is compared with, in the order of the source."""
    network = function.args.args[0].arg
    compared = [node for node in ast.walk(function) if isinstance(node, ast.Compare)
                and isinstance(node.left, ast.Name) and node.left.id == network]
    texts = [constant.value
             for node in sorted(compared, key=lambda each: (each.lineno, each.col_offset))
             for constant in ast.walk(node.comparators[0])
             if isinstance(constant, ast.Constant) and isinstance(constant.value, str)]
    return tuple(dict.fromkeys(texts))


def _run(body: list[ast.stmt], values: dict[str, Any]) -> dict[str, Any] | None:
    """Follow statements until one returns; None when none does."""
    for statement in body:
        if isinstance(statement, ast.Return):
            return _returned(statement, values)
        if isinstance(statement, ast.Raise):
            raise NoConfigurationError(f"{FUNCTION} raises an error for it, on line "
                                       f"{statement.lineno}")
        if isinstance(statement, ast.Assert):
            if not evaluate(statement.test, values):
                raise NoConfigurationError(f"{FUNCTION} refuses this input size, on line "
                                           f"{statement.lineno}")
        elif isinstance(statement, ast.If):
            branch = statement.body if evaluate(statement.test, values) else statement.orelse
            returned = _run(branch, values)
            if returned is not None:
                return returned
        elif (isinstance(statement, ast.Assign) and len(statement.targets) == 1
              and isinstance(statement.targets[0], ast.Name)):
            values[statement.targets[0].id] = _worked_out(statement.value, values)
        else:
            # a loop, an unpacking, a call: whatever it changes is not followed
            values.update((name, Computed(statement.lineno)) for name in _touched(statement))
    return None


def _returned(statement: ast.Return, values: Mapping[str, Any]) -> dict[str, Any]:
    """Read ``return locals()`` or a dictionary with texts as keys."""
    value = statement.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id == "locals":
            return dict(values)
        if value.func.id == "dict" and not value.args:
            return {keyword.arg: _worked_out(keyword.value, values)
                    for keyword in value.keywords if keyword.arg}
    if isinstance(value, ast.Dict):
        return {key.value: _worked_out(item, values) for key, item in zip(value.keys, value.values)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    raise NotLiteralError(statement.lineno)


def _worked_out(expression: ast.expr, values: Mapping[str, Any]) -> Any:
    try:
        return evaluate(expression, values)
    except NotLiteralError as error:
        return Computed(error.line)


def _touched(statement: ast.stmt) -> set[str]:
    """Return the names that a statement sets or calls a method of."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            found.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.value, ast.Name):
            found.add(node.value.id)
    return found


def evaluate(expression: ast.expr, values: Mapping[str, Any]) -> Any:
    """Work an expression out; raise NotLiteralError where that is not done."""
    try:
        return _evaluate(expression, values)
    except (TypeError, ValueError, ArithmeticError, KeyError) as error:
        raise NotLiteralError(expression.lineno) from error


def _evaluate(expression: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(expression, ast.Constant):
        return expression.value
    if isinstance(expression, ast.Name):
        value = values[expression.id]
        if isinstance(value, Computed):
            raise NotLiteralError(value.line)
        return value
    if isinstance(expression, (ast.List, ast.Tuple)):
        return [_evaluate(item, values) for item in expression.elts]
    if isinstance(expression, ast.UnaryOp) and type(expression.op) in _UNARY:
        return _UNARY[type(expression.op)](_evaluate(expression.operand, values))
    if isinstance(expression, ast.BinOp) and type(expression.op) in _BINARY:
        return _binary(expression, values)
    if isinstance(expression, ast.BoolOp):
        wanted = isinstance(expression.op, ast.Or)
        return any(bool(_evaluate(item, values)) is wanted for item in expression.values) is wanted
    if isinstance(expression, ast.Compare) and len(expression.ops) == 1:
        compare = _COMPARISONS.get(type(expression.ops[0]))
        if compare is not None:
            return compare(_evaluate(expression.left, values),
                           _evaluate(expression.comparators[0], values))
    if isinstance(expression, ast.IfExp):
        chosen = expression.body if _evaluate(expression.test, values) else expression.orelse
        return _evaluate(chosen, values)
    if isinstance(expression, ast.ListComp) and len(expression.generators) == 1:
        return _comprehension(expression, values)
    if (isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name)
            and expression.func.id in _CALLS and not expression.keywords):
        return _CALLS[expression.func.id](*(_evaluate(item, values) for item in expression.args))
    raise NotLiteralError(expression.lineno)


def _binary(expression: ast.BinOp, values: Mapping[str, Any]) -> Any:
    left, right = _evaluate(expression.left, values), _evaluate(expression.right, values)
    numbers = all(isinstance(side, (int, float)) for side in (left, right))
    sums = isinstance(expression.op, ast.Add) and type(left) is type(right)
    if isinstance(expression.op, ast.Mult) and isinstance(left, list) and isinstance(right, int):
        if len(left) * right > _LONGEST:
            raise NotLiteralError(expression.lineno)
    elif not (numbers or sums):
        # "%" fills in texts, which is not followed
        raise NotLiteralError(expression.lineno)
    return _BINARY[type(expression.op)](left, right)


def _comprehension(expression: ast.ListComp, values: Mapping[str, Any]) -> list[Any]:
    generator = expression.generators[0]
    if not isinstance(generator.target, ast.Name):
        raise NotLiteralError(expression.lineno)
    found = []
    for item in _evaluate(generator.iter, values):
        inner = {**values, generator.target.id: item}
        if all(_evaluate(condition, inner) for condition in generator.ifs):
            found.append(_evaluate(expression.elt, inner))
    return found
