"""Converters for attrs fields, typed so that a checker accepts what they accept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Freeze a list, or any iterable, as a tuple."""
    return tuple(values)


def names(field: str) -> Callable[[Iterable[str]], tuple[str, ...]]:
    """Return a converter of a field that holds names; a lone text would fall into its letters."""
    def as_names(value: Iterable[str]) -> tuple[str, ...]:
        if isinstance(value, str):
            raise TypeError(f"{field} must be a list or tuple of names, not the text {value!r}")
        return tuple(value)
    return as_names
