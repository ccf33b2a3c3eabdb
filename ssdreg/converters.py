"""Converters for attrs fields, typed so that a checker accepts what they accept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Freeze a list, or any iterable, as a tuple."""
    return tuple(values)
