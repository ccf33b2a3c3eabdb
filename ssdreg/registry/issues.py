"""The problems of a plug-in, each in one line."""

from __future__ import annotations

import sys
import warnings

from attrs import field, frozen

from ssdreg.errors import PluginWarning

#: Characters that a reason may have: some errors quote whole files.
LIMIT = 300


def one_line(text: str) -> str:
    """Put a text on one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LIMIT else f"{line[:LIMIT - 4]} ..."


def message(error: BaseException) -> str:
    """Return an error's message; a plug-in's error may fail even at that."""
    try:
        return str(error)
    except Exception as another:
        return f"its message raises {type(another).__name__}"


def describe_error(error: BaseException) -> str:
    """Return what an error is and says."""
    return f"{type(error).__name__}: {message(error)}"


@frozen(eq=False)
class PluginIssue:
    """Something wrong with a plug-in: its title, why in one line, the error, what it would bring.

    `names` are folded: those it declared before it failed, its own and its distribution's.
    """

    plugin: str
    reason: str = field(converter=one_line)
    error: BaseException | None = None
    names: frozenset[str] = frozenset()

    def warn(self, version: str) -> None:
        """Say it, as a warning; `version` is the plug-in's, empty where it has none.

        Where warnings are made errors it is written all the same, and raises nothing: this is said
        while plug-ins are loaded, and one that is bad takes nothing else down.
        """
        whose = f"{self.plugin} {version}".rstrip()
        sentence = f"plug-in {whose} {self.reason}"
        try:
            warnings.warn(sentence, PluginWarning, stacklevel=3)
        except PluginWarning:
            print(f"ssdreg: warning: {sentence}", file=sys.stderr)
