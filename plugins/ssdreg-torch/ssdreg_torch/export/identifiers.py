"""MXNet's names as names of Python."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from types import MappingProxyType

from attrs import Factory, define

#: What Gluon puts behind the name of a block's operator.
_FORWARD = "_fwd"
NONE: Mapping[str, str] = MappingProxyType({})


@define
class Identifiers:
    """Names that are given once.

    `instead` are beginnings of MXNet's names with what is written for them, `taken` the names that
    are given already.
    """

    instead: Mapping[str, str] = Factory(dict)
    taken: set[str] = Factory(set)

    def new(self, name: str) -> str:
        """Return MXNet's name as an identifier, numbered where it is taken."""
        wanted = identifier(name, self.instead)
        chosen, count = wanted, 1
        while chosen in self.taken:
            count += 1
            chosen = f"{wanted}_{count}"
        self.taken.add(chosen)
        return chosen


def identifier(name: str, instead: Mapping[str, str] = NONE) -> str:
    """Return a name as an identifier, with another beginning, and without Gluon's end."""
    prefix = max((prefix for prefix in instead if name.startswith(prefix)), key=len, default="")
    bare = instead.get(prefix, "") + name[len(prefix):]
    bare = bare[:-len(_FORWARD)] if bare.endswith(_FORWARD) else bare
    written = re.sub(r"_{2,}", "_", re.sub(r"\W", "_", bare, flags=re.ASCII)).strip("_")
    if not written or written[0].isdigit() or keyword.iskeyword(written):
        written = f"n{written}"
    return written


def common_prefix(names: Iterable[str]) -> str:
    """Return what all names begin with, up to an underscore: Gluon's name of the network.

    None where a name would begin with a digit without it.
    """
    ordered = sorted(names)
    if not ordered:
        return ""
    # what the first and the last have in common, all between them have
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(ordered[0], ordered[-1]))
    common = "".join(letter for letter, _ in alike)
    prefix = common[:common.rfind("_") + 1]
    return prefix if all(name[len(prefix):len(prefix) + 1].isalpha() for name in ordered) else ""
