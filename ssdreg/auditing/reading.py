"""Reads the result of ``get_config(network, data_shape)`` in an SSD example's source file.

Nothing is executed. The function is followed in a subset of Python, which `ssdreg.auditing.subset`
states; anything outside it is refused with its line. Each reading is that of a first call: a
default argument has the value that it is written with.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import field, frozen

from ssdreg.auditing.subset.expressions import CallFrame, evaluate
from ssdreg.auditing.subset.ledger import (
    MAX_NETWORKS,
    MAX_SOURCE,
    Computed,
    Ledger,
    NoConfigurationError,
    unsupported_syntax,
)
from ssdreg.auditing.subset.statements import Returned, follow

__all__ = ["Computed", "ConfigFunction", "NoConfigurationError", "read_factory"]

FUNCTION = "get_config"

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp,
           ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: Nodes that change what a function's body means, wherever they are in it.
_UNREADABLE = (ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal)
#: The name that ``import *`` binds: any.
_EVERYTHING = "*"


@frozen(eq=False)
class ConfigFunction:
    """A source file's ``get_config``: the networks that it names, and its syntax tree.

    `hidden` are the names that the module defines.
    """

    networks: tuple[str, ...]
    function: ast.FunctionDef = field(repr=False)
    hidden: frozenset[str] = field(repr=False, default=frozenset())

    def config(self, network: str, data_shape: int) -> dict[str, Any]:
        """Return the dictionary that the function returns for this network and side.

        Unknown values are `Computed`. Raises NoConfigurationError where the function cannot be
        followed, or returns no dictionary.
        """
        ledger = Ledger()
        local = frozenset(bound_names(self.function.body)) | {
            node.arg for node in ast.walk(self.function.args) if isinstance(node, ast.arg)}
        frame = CallFrame({}, local, self.hidden, ledger)
        frame.values.update(self._arguments((network, data_shape), frame))
        outcome = follow(self.function.body, frame)
        line = outcome.line if isinstance(outcome, Returned) else self.function.lineno
        value = outcome.value if isinstance(outcome, Returned) else None
        if isinstance(value, Computed):
            raise NoConfigurationError("what it returns is computed", value.line)
        if not isinstance(value, dict):
            raise NoConfigurationError(f"{FUNCTION} returns no dictionary for it", line)
        return {name: ledger.copy(line, item) for name, item in value.items()}

    def _arguments(self, arguments: tuple[Any, ...], frame: CallFrame) -> Iterator[tuple[str, Any]]:
        """Yield the (name, value) of each parameter in a call with these positional arguments."""
        parameters, line = self.function.args, self.function.lineno
        names = [*parameters.posonlyargs, *parameters.args]
        defaults = [None] * (len(names) - len(parameters.defaults)) + parameters.defaults
        # defaults are evaluated in the module's scope
        module_frame = CallFrame({}, frozenset(), self.hidden, frame.ledger)
        for index, (name, default) in enumerate(zip([*names, *parameters.kwonlyargs],
                                                    [*defaults, *parameters.kw_defaults])):
            if index < len(arguments) and index < len(names):
                yield name.arg, arguments[index]
            elif default is None:
                raise NoConfigurationError(f"{FUNCTION} needs more than a network and an input "
                                           f"size: {name.arg!r}", line)
            else:
                yield name.arg, evaluate(default, module_frame)
        if parameters.vararg:
            yield parameters.vararg.arg, arguments[len(names):]
        if parameters.kwarg:
            yield parameters.kwarg.arg, {}


def read_factory(source: str) -> ConfigFunction | None:
    """Find ``get_config`` in a source text; None when there is none.

    Raises SyntaxError, ValueError, RecursionError or MemoryError when the text is no Python, or
    is too deep for Python's own reader, and NoConfigurationError when the function is there but
    cannot be read.
    """
    if len(source) > MAX_SOURCE:
        raise ValueError(f"it has more than {MAX_SOURCE:,} characters")
    body = ast.parse(source).body
    names = bound_names(body)
    node = names.get(FUNCTION)
    if node is None:
        return None
    star = names.get(_EVERYTHING)
    if not isinstance(node, ast.FunctionDef) or node not in body:
        raise NoConfigurationError(f"{FUNCTION} is not simply defined, but made", node.lineno)
    if node.decorator_list:
        raise NoConfigurationError(f"{FUNCTION} is decorated, so that it is another function than "
                                   f"its body says", node.decorator_list[0].lineno)
    unreadable = next((inner for inner in _scope_nodes(node.body)
                       if isinstance(inner, _UNREADABLE)), None)
    if unreadable is not None:
        raise unsupported_syntax(unreadable)
    if len(node.args.posonlyargs + node.args.args) < 2 and not node.args.vararg:
        return None
    hidden = {name for statement in ast.walk(ast.Module(body, []))
              if isinstance(statement, ast.Global) for name in statement.names}
    factory = ConfigFunction(_networks(node), node, frozenset(hidden | set(names)))
    if star is not None:
        raise NoConfigurationError("import * may give any name another meaning, and is not read",
                                   star.lineno)
    return factory


def bound_names(body: Iterable[ast.AST]) -> dict[str, Any]:
    """Return the names that statements bind, each with the last node that binds it."""
    names: dict[str, Any] = {}
    for node in sorted(_scope_nodes(body), key=_line):
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                names[node.id] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name.partition(".")[0], node)
                         for alias in node.names)
        elif not isinstance(node, ast.alias):
            # a function, a class, a caught error, a captured pattern
            name = getattr(node, "name", None) or getattr(node, "rest", None)
            if isinstance(name, str):
                names[name] = node
    return names


def _line(node: ast.AST) -> int:
    line: int = getattr(node, "lineno", 0)
    return line


def _scope_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of the scopes inside it."""
    pending = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def _networks(function: ast.FunctionDef) -> tuple[str, ...]:
    """Return the names that the first argument is compared with, in the order of the source."""
    arguments = function.args.posonlyargs + function.args.args
    network = arguments[0].arg if arguments else ""
    compared = [node for node in ast.walk(function) if isinstance(node, ast.Compare)
                and isinstance(node.left, ast.Name) and node.left.id == network]
    texts = dict.fromkeys(
        constant.value
        for node in sorted(compared, key=lambda node: (node.lineno, node.col_offset))
        for constant in ast.walk(node.comparators[0])
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str))
    if len(texts) > MAX_NETWORKS:
        raise NoConfigurationError(f"{FUNCTION} asks for more than {MAX_NETWORKS} networks",
                                   function.lineno)
    return tuple(texts)
