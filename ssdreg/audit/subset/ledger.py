"""What following a stranger's source may cost, and what of it is no longer known.

Every step, every value made and every comparison is charged, so that the limits here bound the
time and the memory that a source can take, whatever is in it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

#: A source file; the example's own has 4 KiB.
MAX_SOURCE = 256 * 2**10
#: Networks that one ``get_config`` asks for by name.
MAX_NETWORKS = 100
#: Expressions and statements followed, and elements and characters made, for one network.
STEPS = 20_000
#: Elements of a list, tuple or dictionary, and characters of a text.
LENGTH = 2_000
#: Bits of a whole number.
BITS = 1_024
#: Expressions and statements within each other, and lists within each other.
DEPTH = 40

SCALARS = (type(None), bool, int, float, str)
#: What may change after it was made, and is shared by all names it was given.
MUTABLE = (list, dict)


@frozen
class Computed:
    """Stands for a value that the source computes, on `line`, in a way that is not followed."""

    line: int


class NoConfigurationError(Exception):
    """The function gives no configuration that can be read; `reason` says why, without `line`."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(f"{reason}, on line {line}")
        self.reason, self.line = reason, line


class Undecided(Exception):  # noqa: N818
    """Two values may be equal or not: something in them is computed."""


class Ledger:
    """Counts the steps of one call of the function, and remembers the objects it lost track of."""

    def __init__(self) -> None:
        self._left = STEPS
        self._depth = 0
        # objects too, so that no other takes the number of one that is gone
        self._spoiled: dict[int, tuple[Any, int]] = {}

    def spend(self, line: int, steps: int = 1) -> None:
        """Charge steps; raise NoConfigurationError when there are none left."""
        self._left -= steps
        if self._left < 0:
            raise NoConfigurationError(f"it takes more than {STEPS:,} steps", line)

    def enter(self, line: int) -> None:
        """Go a level deeper; raise NoConfigurationError when that is too deep."""
        self._depth += 1
        if self._depth > DEPTH:
            raise NoConfigurationError(f"it is nested more than {DEPTH} levels deep", line)

    def leave(self) -> None:
        """Come back from a level."""
        self._depth -= 1

    def made(self, line: int, value: Any) -> Any:
        """Charge a value just made, and return it; raise NoConfigurationError for a large one."""
        if isinstance(value, int):
            self.fits(line, value.bit_length(), BITS, "a number", "bits")
        elif isinstance(value, (str, list, tuple, dict)):
            self.fits(line, len(value), LENGTH, f"a {type(value).__name__}", "entries")
            self.spend(line, len(value))
        return value

    @staticmethod
    def fits(line: int, size: int, limit: int, what: str, unit: str) -> None:
        """Raise NoConfigurationError for more than `limit`, before anything so large is made."""
        if size > limit:
            raise NoConfigurationError(f"it makes {what} of more than {limit:,} {unit}", line)

    def listed(self, line: int, value: Any) -> list[Any]:
        """Return the elements of a sequence, dictionary or range as a list of its own."""
        # nothing else can be longer than what was allowed to be made
        if isinstance(value, range) and value[LENGTH:]:
            self.fits(line, LENGTH + 1, LENGTH, "a list", "entries")
        found: list[Any] = self.attempt(line, list, value)
        return found

    def attempt(self, line: int, function: Callable[..., Any], *values: Any) -> Any:
        """Call a function of Python's own; what it raises, the source would have raised."""
        try:
            return self.made(line, function(*values))
        except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
            raise NoConfigurationError(f"it raises {type(error).__name__} for this network and "
                                       f"input size", line) from error

    def spoil(self, line: int, *values: Any) -> Computed:
        """Forget these values: somebody unknown has them and may change them, now or later."""
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, (*MUTABLE, tuple)):
                if id(value) in self._spoiled:
                    continue
                self.spend(line, len(value) + 1)
                # a tuple cannot change, but is looked through once only
                self._spoiled[id(value)] = value, 0 if isinstance(value, tuple) else line
                waiting.extend(value.values() if isinstance(value, dict) else value)
        return Computed(line)

    def known(self, value: Any) -> Any:
        """Return a value, or `Computed` when it is one that was forgotten."""
        line = self._spoiled.get(id(value), (None, 0))[1] if isinstance(value, MUTABLE) else 0
        return Computed(line) if line else value

    def equal(self, line: int, left: Any, right: Any, depth: int = 0) -> bool:
        """Compare as ``==`` does; raise Undecided where something computed decides."""
        self.spend(line)
        left, right = self.known(left), self.known(right)
        if isinstance(left, Computed) or isinstance(right, Computed) or depth > DEPTH:
            raise Undecided
        if isinstance(left, dict) and isinstance(right, dict):
            return len(left) == len(right) and all(
                key in right and self.same(line, value, right[key], depth + 1)
                for key, value in left.items())
        if type(left) is type(right) and isinstance(left, (list, tuple)):
            return len(left) == len(right) and all(
                self.same(line, one, other, depth + 1) for one, other in zip(left, right))
        return bool(left == right)

    def same(self, line: int, left: Any, right: Any, depth: int = 0) -> bool:
        """Compare as elements are: an object equals itself, even one that is not a number."""
        return (left is right and not isinstance(left, Computed)) \
            or self.equal(line, left, right, depth)

    def copied(self, line: int, value: Any, depth: int = 0) -> Any:
        """Return a copy that shares nothing; `Computed` where anything in the value is."""
        self.spend(line)
        value = self.known(value)
        if isinstance(value, SCALARS):
            return value
        if isinstance(value, Computed):
            return value
        if not isinstance(value, (list, tuple, dict)) or depth > DEPTH:
            return Computed(line)
        entries = [self.copied(line, each, depth + 1)
                   for each in (value.values() if isinstance(value, dict) else value)]
        lost = next((each for each in entries if isinstance(each, Computed)), None)
        if lost is not None:
            return lost
        return dict(zip(value, entries)) if isinstance(value, dict) else type(value)(entries)


#: How nodes of the syntax tree are called in messages, where their own name says little.
NODES: Final[dict[type[ast.AST], str]] = {
    ast.With: "a with statement", ast.Try: "a try statement", ast.FunctionDef: "an inner function",
    ast.ClassDef: "a class", ast.Lambda: "a lambda", ast.GeneratorExp: "a generator expression",
    ast.NamedExpr: "an assignment within an expression", ast.Starred: "a starred target",
    ast.Set: "a set", ast.SetComp: "a set", ast.Global: "a global statement",
    ast.Nonlocal: "a nonlocal statement", ast.Yield: "a yield", ast.YieldFrom: "a yield",
    ast.Await: "an await"}


def unread(node: ast.AST) -> NoConfigurationError:
    """Say that a statement or expression is none of those that are read."""
    name = NODES.get(type(node), f"a {type(node).__name__} of Python's syntax")
    return NoConfigurationError(f"{name} is not read", getattr(node, "lineno", 1))
