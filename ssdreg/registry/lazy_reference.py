"""Functions named as ``"module:function"``, so that a declaration need not import them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Union

Reference = Union[Callable[..., Any], str]


def valid_reference(instance: Any, attribute: Any, value: Reference) -> None:
    """Check, for attrs, that `value` is a callable or reads ``"module:function"``."""
    if callable(value):
        return
    module, colon, function = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not (module and colon and function):
        raise TypeError(f"{type(instance).__name__} {getattr(instance, 'name', '?')!r}: "
                        f"{attribute.name} must be a callable or 'module:function', not {value!r}")


def resolve(reference: Reference) -> Callable[..., Any]:
    """Return the function a reference stands for, importing its module when it is a text."""
    if not isinstance(reference, str):
        return reference
    module, _, function = reference.partition(":")
    return getattr(import_module(module), function)
