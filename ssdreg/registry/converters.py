"""Converters for attrs fields, typed so that a checker accepts what they accept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from attrs import validators

#: What a backbone or head may be called: one word for a shell, and for a file's name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")

_IGNORED = str.maketrans("", "", "-_. ")


def fold(name: str) -> str:
    """Fold the spellings of one name: case, hyphens, underscores, dots and spaces do not count."""
    return name.lower().translate(_IGNORED)


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Freeze a list, or any iterable, as a tuple; `is_listed` refuses what is left."""
    listed = isinstance(values, Iterable) and not isinstance(values, str)
    return tuple(values) if listed else values  # type: ignore[return-value]


#: Checks, for attrs, that a field is a text that says something.
is_text = validators.and_(validators.instance_of(str), validators.min_len(1))


def is_listed(instance: Any, attribute: Any, value: Any) -> None:
    """Check, for attrs, that `as_tuple` has made a tuple of a field's value."""
    if not isinstance(value, tuple):
        raise TypeError(f"{_who(instance)}: {attribute.name} must be a list or tuple, not "
                        f"{value!r}")


def is_name(instance: Any, attribute: Any, value: Any) -> None:
    """Check, for attrs, that a name is a word: letters, digits, and - _ . + between them.

    A colon may stand behind a distribution's name.
    """
    if not isinstance(value, str):
        raise TypeError(f"{_who(instance)}: {attribute.name} must be a text, not {value!r}")
    if not all(NAME.fullmatch(part) for part in value.split(":")):
        raise ValueError(f"{_who(instance)}: {attribute.name} must be of letters, digits and "
                         f"- _ . +, and begin with one of the first two, not {value!r}")


def are_names(instance: Any, attribute: Any, value: tuple[Any, ...]) -> None:
    """Check, for attrs, that every entry is what `is_name` takes."""
    for name in value:
        is_name(instance, attribute, name)


def _who(instance: Any) -> str:
    return f"{type(instance).__name__} {getattr(instance, 'name', '')!r}"


def as_aliases(value: Iterable[str]) -> tuple[str, ...]:
    """Freeze other names of a backbone or head."""
    return as_names("aliases", value)


def as_names(field: str, value: Iterable[str]) -> tuple[str, ...]:
    """Freeze names; a lone text would fall apart into its letters."""
    if isinstance(value, str):
        raise TypeError(f"{field} must be a list or tuple of names, not the text {value!r}")
    return as_tuple(value)
