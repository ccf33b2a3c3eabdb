"""MXNet's names of parameters as attributes of a module, and back.

A name stays as it is wherever it can be. A module takes none with a dot and none that is an
attribute already: a dot, and the first character of a name that is taken, are written as a URL
writes them (``%2E``), and so is the percent sign.
"""

from __future__ import annotations

from collections.abc import Container
from urllib.parse import unquote


def attribute(name: str, taken: Container[str]) -> str:
    """Return the attribute for a parameter; `taken` are those that a module has already."""
    written = name.replace("%", "%25").replace(".", "%2E")
    return f"%{ord(name[0]):02X}{name[1:]}" if written in taken else written


def parameter(attribute: str) -> str:
    """Return the parameter's name for an attribute."""
    return unquote(attribute)
