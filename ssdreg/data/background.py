"""The background among class names: the network has a class of its own for it, nobody names it."""

from __future__ import annotations

from collections.abc import Sequence

from ssdreg.errors import SsdregError

_NAMES = {"background", "bg"}
#: What lists of classes put around it: ``__background__``, ``_background_``, ``<bg>``.
_AROUND = "_-<>[]() \t"


def is_background(name: str) -> bool:
    """Tell whether a class name stands for the background, in whatever case and underlining."""
    return name.strip(_AROUND).lower() in _NAMES


def without_background(names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the names of classes without the background's, and that one; "" where it is not."""
    background = next((name for name in names if is_background(name)), "")
    return tuple(name for name in names if not is_background(name)), background


def names_of(count: int, names: Sequence[str], where: str) -> tuple[tuple[str, ...], str]:
    """Fit names to a network that tells `count` classes apart besides the background.

    Returns the names, and what was left out of them, in a sentence, or "". Raises SsdregError
    where a name is missing, stands twice, or the background is named as one of the classes.
    """
    kept, background = without_background(names)
    if background and len(names) == count + 1 == len(kept) + 1 and len(set(kept)) == count:
        return kept, (f"{background!r} was left out of the {len(names)} class names: the "
                      f"background is not counted as a class")
    if len(names) != count or len(set(names)) != count:
        raise SsdregError(f"{where} tells {count} classes apart (the background is not counted), "
                          f"but {len(set(names))} different names are given")
    if background:
        raise SsdregError(f"{where} tells {count} classes apart besides the background, but "
                          f"{background!r} is one of the {count} names given: give the names "
                          f"without it (a name is missing then), or, if the network was trained "
                          f"with a class for it, call that something else, as class0")
    return tuple(names), ""
