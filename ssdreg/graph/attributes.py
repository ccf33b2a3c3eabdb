"""An MXNet operator's settings, stored as text, read as typed values; only this module does.

MXNet writes ``(3, 3)``, its older versions ``(3,3)`` and ``[3,3]``, and Python 2 ``(3L, 3L)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from attrs import field, frozen

_TRUE = ("true", "1")


@frozen
class Attributes:
    """The settings of one node; a reader returns its default for a name that is not set.

    A setting that is ``None`` counts as not set, as it does in MXNet. What reads numbers raises
    ValueError for a text that holds something else.
    """

    texts: Mapping[str, str] = field(factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return a setting as it is written; raise KeyError for one that is not there."""
        return self.texts[name]

    def given(self, name: str) -> bool:
        """Tell whether a setting is there and is not ``None``."""
        return self.texts.get(name, "None") != "None"

    def text(self, name: str, default: str = "") -> str:
        """Return a setting as it is written."""
        return self.texts[name] if self.given(name) else default

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a setting that is true or false."""
        return self.text(name, str(default)).lower() in _TRUE

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a number."""
        return float(self.text(name, str(default)))

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        return int(self.text(name, str(default)).rstrip("L"))

    def sequence(self, name: str, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return a tuple of numbers or None: ``(3, 3)``, ``[3,3]``, ``(3L, None)``, or ``3``."""
        return _values(self.texts[name]) if self.given(name) else default

    def numbers(self, name: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Return a tuple of numbers as floats; an empty one counts as not set."""
        return tuple(map(float, _parts(self.text(name)))) or default

    def extent(self, name: str, rank: int, default: int) -> tuple[int, ...]:
        """Return a kernel, stride, padding or dilation, one for each of `rank` dimensions."""
        return self.sequence(name) or (default,) * rank

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """Return the extent of a map, down and across; a single number is both."""
        sides = self.sequence(name) or (default,)
        return sides[0], sides[-1]


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[str, ...]:
    """Return the texts of a tuple's entries, whatever brackets are around them."""
    parts = (part.strip().rstrip("L") for part in text.strip("()[] ").split(","))
    return tuple(part for part in parts if part)


# cached: a network repeats the same few texts
@lru_cache(maxsize=1024)
def _values(text: str) -> tuple[Any, ...]:
    return tuple(map(_value, _parts(text)))


def _value(part: str) -> float | None:
    if part == "None":
        return None
    try:
        return int(part)
    except ValueError:
        return float(part)
