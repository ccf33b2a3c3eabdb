"""An MXNet operator's settings, which are texts, read as what they mean."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

_TRUE = {"True", "true", "1"}


@frozen
class Attributes:
    """The settings of one node; a name that is not set has the default that is asked with.

    A setting that is ``None`` counts as not set, as it does in MXNet.
    """

    texts: Mapping[str, str]

    def given(self, name: str) -> bool:
        """Tell whether a setting is there and is not ``None``."""
        return self.texts.get(name, "None") != "None"

    def text(self, name: str, default: str = "") -> str:
        """Return a setting as it is written."""
        return self.texts[name] if self.given(name) else default

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a setting that is true or false."""
        return self.text(name, str(default)) in _TRUE

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a number."""
        return float(self.text(name, str(default)))

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        return int(self.text(name, str(default)))

    def sequence(self, name: str, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return a tuple of numbers or None: ``(3, 3)``, ``[3,3]``, ``(3L, None)``, or ``3``."""
        if not self.given(name):
            return default
        # Python 2 wrote whole numbers with an L
        value = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", self.texts[name]))
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)

    def extent(self, name: str, rank: int, default: int) -> tuple[int, ...]:
        """Return a kernel, stride, padding or dilation, one for each of `rank` dimensions."""
        return self.sequence(name) or (default,) * rank
