"""Reads what ``get_config(network, data_shape)`` of an SSD example's source file would return.

Nothing is executed. The function is followed in a subset of Python, which `ssdreg.audit.subset`
states; what is not in it is refused with its line. Every reading is that of a first call: a
default argument is as it was written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import field, frozen

from ssdreg.audit.subset.expressions import Frame, evaluate
from ssdreg.audit.subset.ledger import (
    MAX_NETWORKS,
    MAX_SOURCE,
    Computed,
    Ledger,
    NoConfigurationError,
    unread,
)
from ssdreg.audit.subset.statements import Returned, run

__all__ = ["Computed", "Factory", "NoConfigurationError", "read_factory"]

FUNCTION = "get_config"

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp,
           ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: Make a function another thing than its body says, wherever they are in it.
_ALTERING = (ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal)
#: What ``import *`` may give another meaning: every name.
_EVERYTHING = "*"


@frozen(eq=False)
class Factory:
    """A source file's ``get_config``: the networks it asks for by name, and its syntax tree.

    `hidden` are the names that the module gives a meaning of its own.
    """

    networks: tuple[str, ...]
    function: ast.FunctionDef = field(repr=False)
    hidden: frozenset[str] = field(repr=False, default=frozenset())

    def config(self, network: str, data_shape: int) -> dict[str, Any]:
        """Return the dictionary that the function returns for this network and side.

        Values that are not worked out are `Computed`. Raises NoConfigurationError.
        """
        ledger = Ledger()
        local = frozenset(bound(self.function.body)) | {
            each.arg for each in ast.walk(self.function.args) if isinstance(each, ast.arg)}
        frame = Frame({}, local, self.hidden, ledger)
        frame.values.update(self._arguments((network, data_shape), frame))
        ended = run(self.function.body, frame)
        line = ended.line if isinstance(ended, Returned) else self.function.lineno
        value = ended.value if isinstance(ended, Returned) else None
        if isinstance(value, Computed):
            raise NoConfigurationError("what it returns is computed", value.line)
        if not isinstance(value, dict):
            raise NoConfigurationError(f"{FUNCTION} returns no dictionary for it", line)
        return {name: ledger.copied(line, item) for name, item in value.items()}

    def _arguments(self, given: tuple[Any, ...], frame: Frame) -> Iterator[tuple[str, Any]]:
        """Yield what the function's parameters are when it is called with two arguments."""
        asked, line = self.function.args, self.function.lineno
        names = [*asked.posonlyargs, *asked.args]
        defaults = [None] * (len(names) - len(asked.defaults)) + asked.defaults
        # defaults are worked out where no name of the function is known
        outside = Frame({}, frozenset(), self.hidden, frame.ledger)
        for place, (name, default) in enumerate(zip([*names, *asked.kwonlyargs],
                                                    [*defaults, *asked.kw_defaults])):
            if place < len(given) and place < len(names):
                yield name.arg, given[place]
            elif default is None:
                raise NoConfigurationError(f"{FUNCTION} needs more than a network and an input "
                                           f"size: {name.arg!r}", line)
            else:
                yield name.arg, evaluate(default, outside)
        if asked.vararg:
            yield asked.vararg.arg, given[len(names):]
        if asked.kwarg:
            yield asked.kwarg.arg, {}


def read_factory(source: str) -> Factory | None:
    """Find ``get_config`` in a source text; None when there is none.

    Raises SyntaxError, ValueError, RecursionError or MemoryError when the text is no Python, or
    is too deep for Python's own reader, and NoConfigurationError when the function is there but
    cannot be read.
    """
    if len(source) > MAX_SOURCE:
        raise ValueError(f"it has more than {MAX_SOURCE:,} characters")
    body = ast.parse(source).body
    names = bound(body)
    node = names.get(FUNCTION)
    if node is None:
        return None
    star = names.get(_EVERYTHING)
    if not isinstance(node, ast.FunctionDef) or node not in body:
        raise NoConfigurationError(f"{FUNCTION} is not simply defined, but made", node.lineno)
    if node.decorator_list:
        raise NoConfigurationError(f"{FUNCTION} is decorated, so that it is another function than "
                                   f"its body says", node.decorator_list[0].lineno)
    altering = next((each for each in _own(node.body) if isinstance(each, _ALTERING)), None)
    if altering is not None:
        raise unread(altering)
    if len(node.args.posonlyargs + node.args.args) < 2 and not node.args.vararg:
        return None
    hidden = {name for each in ast.walk(ast.Module(body, [])) if isinstance(each, ast.Global)
              for name in each.names}
    found = Factory(_networks(node), node, frozenset(hidden | set(names)))
    if star is not None:
        raise NoConfigurationError("import * may give any name another meaning, and is not read",
                                   star.lineno)
    return found


def bound(body: Iterable[ast.AST]) -> dict[str, Any]:
    """Return the names that statements bind, each with the last node that does."""
    found: dict[str, Any] = {}
    for node in sorted(_own(body), key=lambda each: getattr(each, "lineno", 0)):
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                found[node.id] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name.partition(".")[0], node)
                         for alias in node.names)
        elif not isinstance(node, ast.alias):
            # a function, a class, a caught error, a captured pattern
            name = getattr(node, "name", None) or getattr(node, "rest", None)
            if isinstance(name, str):
                found[name] = node
    return found


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of functions, classes and so on within it."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _networks(function: ast.FunctionDef) -> tuple[str, ...]:
    """Return the names that the first argument is compared with, in the order of the source."""
    arguments = function.args.posonlyargs + function.args.args
    network = arguments[0].arg if arguments else ""
    compared = [node for node in ast.walk(function) if isinstance(node, ast.Compare)
                and isinstance(node.left, ast.Name) and node.left.id == network]
    texts = dict.fromkeys(
        constant.value
        for node in sorted(compared, key=lambda each: (each.lineno, each.col_offset))
        for constant in ast.walk(node.comparators[0])
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str))
    if len(texts) > MAX_NETWORKS:
        raise NoConfigurationError(f"{FUNCTION} asks for more than {MAX_NETWORKS} networks",
                                   function.lineno)
    return tuple(texts)
