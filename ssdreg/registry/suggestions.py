"""Suggestions for an unknown name: the closest names, few of them, then how to list all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

#: Names that a sentence lists before it only counts them.
MOST = 10
#: How alike two names must be, 0..1, for one to be meant by the other.
ALIKE = 0.5
BEHIND_A_DOT = 0.9


def some(names: Collection[str], most: int = MOST) -> str:
    """List names in a sentence, the first of many only: ``a, b, c and 58 more``."""
    first = list(names)[:most]
    rest = len(names) - len(first)
    return ", ".join(first) + (f" and {rest} more" if rest else "")


def close(wanted: str, names: Collection[str], most: int = 3,
          alike: float = ALIKE) -> Sequence[str]:
    """Return the names that are most like the one that is wanted, the closest first.

    Of names that are as like, those go first that begin as the wanted one does.
    """
    scored = [(_likeness(wanted, name), _begin_alike(wanted, name), name) for name in names]
    ranked = sorted(scored, key=lambda score: (-score[0], -score[1], score[2]))
    return [name for share, _, name in ranked[:most] if share >= alike]


def _begin_alike(one: str, other: str) -> int:
    """Count the letters that two names have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))


def _likeness(wanted: str, name: str) -> float:
    """Tell how alike two names are, 0..1.

    Those of a distribution may begin alike (``gluon.resnet18_v1``): what follows the dot counts,
    nearly as much as a whole name.
    """
    def ratio(part: str) -> float:
        return SequenceMatcher(None, wanted.lower(), part.lower()).ratio()
    return max(ratio(name), BEHIND_A_DOT * ratio(name.partition(".")[2]))
