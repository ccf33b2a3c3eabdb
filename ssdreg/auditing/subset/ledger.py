"""The limits of reading an untrusted source, and the objects whose value is no longer known.

Every step, every value made and every comparison is charged, so that the limits here bound the
time and the memory that any source can take.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

#: Characters of a source file; the example's own has 4 KiB.
MAX_SOURCE = 256 * 2**10
#: Networks that one ``get_config`` compares its argument with.
MAX_NETWORKS = 100
#: Expressions and statements followed, and elements and characters made, for one network.
MAX_STEPS = 20_000
#: Elements of a list, tuple or dictionary, and characters of a text.
LENGTH = 2_000
#: Bits of a whole number.
BITS = 1_024
#: Expressions and statements within each other, and lists within each other.
DEPTH = 40

SCALARS = (type(None), bool, int, float, str)
#: Types of values that may change, and are shared by all names that refer to them.
MUTABLE = (list, dict)


@frozen
class Computed:
    """An unknown value, which the source computes on `line` in a way that is not followed."""

    line: int


class NoConfigurationError(Exception):
    """The function has no configuration that can be read; `reason` says why, without `line`."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(f"{reason}, on line {line}")
        self.reason, self.line = reason, line


class UndecidedComparison(Exception):  # noqa: N818
    """Whether two values are equal is not known: something in them is computed."""


class Ledger:
    """Counts the steps of one call of the function, and records the objects that became unknown."""

    def __init__(self) -> None:
        self._left = MAX_STEPS
        self._depth = 0
        # by id, with the object itself, so that no other object gets its id
        self._spoiled: dict[int, tuple[Any, int]] = {}

    def charge_steps(self, line: int, steps: int = 1) -> None:
        """Charge steps; raise NoConfigurationError when there are none left."""
        self._left -= steps
        if self._left < 0:
            raise NoConfigurationError(f"it takes more than {MAX_STEPS:,} steps", line)

    def enter(self, line: int) -> None:
        """Enter a nested level; raise NoConfigurationError beyond `DEPTH`."""
        self._depth += 1
        if self._depth > DEPTH:
            raise NoConfigurationError(f"it is nested more than {DEPTH} levels deep", line)

    def leave(self) -> None:
        """Leave a nested level."""
        self._depth -= 1

    def charge_value(self, line: int, value: Any) -> Any:
        """Charge for a new value and return it; raise NoConfigurationError over the limits."""
        if isinstance(value, int):
            self.check_size(line, value.bit_length(), BITS, "a number", "bits")
        elif isinstance(value, (str, list, tuple, dict)):
            self.check_size(line, len(value), LENGTH, f"a {type(value).__name__}", "entries")
            self.charge_steps(line, len(value))
        return value

    @staticmethod
    def check_size(line: int, size: int, limit: int, what: str, unit: str) -> None:
        """Raise NoConfigurationError for more than `limit`, before anything so large is made."""
        if size > limit:
            raise NoConfigurationError(f"it makes {what} of more than {limit:,} {unit}", line)

    def to_list(self, line: int, value: Any) -> list[Any]:
        """Return the elements of a sequence, dictionary or range as a new list."""
        # no other value can be longer than the limit that it was made under
        if isinstance(value, range) and value[LENGTH:]:
            self.check_size(line, LENGTH + 1, LENGTH, "a list", "entries")
        elements: list[Any] = self.call(line, list, value)
        return elements

    def call(self, line: int, function: Callable[..., Any], *values: Any) -> Any:
        """Call a function of Python's; raise NoConfigurationError for an error of the source."""
        try:
            return self.charge_value(line, function(*values))
        except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
            raise NoConfigurationError(f"it raises {type(error).__name__} for this network and "
                                       f"input size", line) from error

    def forget(self, line: int, *values: Any) -> Computed:
        """Record values as unknown: code that is not followed has them and may change them."""
        pending = list(values)
        while pending:
            value = pending.pop()
            if isinstance(value, (*MUTABLE, tuple)):
                if id(value) in self._spoiled:
                    continue
                self.charge_steps(line, len(value) + 1)
                # a tuple cannot change; it is recorded so that it is searched only once
                self._spoiled[id(value)] = value, 0 if isinstance(value, tuple) else line
                pending.extend(value.values() if isinstance(value, dict) else value)
        return Computed(line)

    def known(self, value: Any) -> Any:
        """Return a value, or `Computed` when it was forgotten."""
        line = self._spoiled.get(id(value), (None, 0))[1] if isinstance(value, MUTABLE) else 0
        return Computed(line) if line else value

    def equal(self, line: int, left: Any, right: Any, depth: int = 0) -> bool:
        """Compare as ``==`` does; raise UndecidedComparison where computed values decide."""
        self.charge_steps(line)
        left, right = self.known(left), self.known(right)
        if isinstance(left, Computed) or isinstance(right, Computed) or depth > DEPTH:
            raise UndecidedComparison
        if isinstance(left, dict) and isinstance(right, dict):
            return len(left) == len(right) and all(
                key in right and self.identical_or_equal(line, value, right[key], depth + 1)
                for key, value in left.items())
        if type(left) is type(right) and isinstance(left, (list, tuple)):
            return len(left) == len(right) and all(
                self.identical_or_equal(line, one, other, depth + 1)
                for one, other in zip(left, right))
        return bool(left == right)

    def identical_or_equal(self, line: int, left: Any, right: Any, depth: int = 0) -> bool:
        """Compare as ``in`` does: an object equals itself, even if it is not a number (NaN)."""
        return (left is right and not isinstance(left, Computed)) \
            or self.equal(line, left, right, depth)

    def copy(self, line: int, value: Any, depth: int = 0) -> Any:
        """Return a deep copy; `Computed` where anything in the value is."""
        self.charge_steps(line)
        value = self.known(value)
        if isinstance(value, SCALARS):
            return value
        if isinstance(value, Computed):
            return value
        if not isinstance(value, (list, tuple, dict)) or depth > DEPTH:
            return Computed(line)
        copies = [self.copy(line, entry, depth + 1)
                  for entry in (value.values() if isinstance(value, dict) else value)]
        unknown = next((entry for entry in copies if isinstance(entry, Computed)), None)
        if unknown is not None:
            return unknown
        return dict(zip(value, copies)) if isinstance(value, dict) else type(value)(copies)


#: Names of syntax nodes in messages, where their class's name says little.
NODE_NAMES: Final[dict[type[ast.AST], str]] = {
    ast.With: "a with statement", ast.Try: "a try statement", ast.FunctionDef: "an inner function",
    ast.ClassDef: "a class", ast.Lambda: "a lambda", ast.GeneratorExp: "a generator expression",
    ast.NamedExpr: "an assignment within an expression", ast.Starred: "a starred target",
    ast.Set: "a set", ast.SetComp: "a set", ast.Global: "a global statement",
    ast.Nonlocal: "a nonlocal statement", ast.Yield: "a yield", ast.YieldFrom: "a yield",
    ast.Await: "an await"}


def unsupported_syntax(node: ast.AST) -> NoConfigurationError:
    """Return the error for a statement or expression outside the subset."""
    name = NODE_NAMES.get(type(node), f"a {type(node).__name__} of Python's syntax")
    return NoConfigurationError(f"{name} is not read", getattr(node, "lineno", 1))
