"""Converters for attrs fields, typed so that a checker accepts what they accept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Freeze a list, or any iterable, as a tuple."""
    return tuple(values)


def as_aliases(value: Iterable[str]) -> tuple[str, ...]:
    """Freeze other names of a backbone or head."""
    return as_names("aliases", value)


def as_names(field: str, value: Iterable[str]) -> tuple[str, ...]:
    """Freeze names; a lone text would fall apart into its letters."""
    if isinstance(value, str):
        raise TypeError(f"{field} must be a list or tuple of names, not the text {value!r}")
    return tuple(value)
