"""Conversion of file names, which are bytes, to text and back.

Python decodes names by the system's locale, and bytes that are no letters there become lone
surrogates: some bytes in any locale, all but ASCII in that called C. No surrogate can be written as
UTF-8, which is what files hold and what libraries take names in.
"""

from __future__ import annotations

import os
from pathlib import Path

from ssdreg_runtime.errors import DataError


def as_text(path: str | os.PathLike[str]) -> str:
    """Return a name as text by UTF-8, whatever the locale; other bytes are lone surrogates."""
    return _bytes(path).decode("utf-8", "surrogateescape")


def as_path(text: str) -> Path:
    """Return the path that has this name; it undoes `as_text`."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def shown(path: str | os.PathLike[str]) -> str:
    """Return a name to be printed or drawn: bytes that are no UTF-8 are written as ``\\xff``."""
    return _bytes(path).decode("utf-8", "backslashreplace")


def native(path: str | os.PathLike[str]) -> str:
    """Return a name for a library that takes it in UTF-8.

    Raises DataError for one with bytes that are not UTF-8: such libraries cannot open it.
    """
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} has a name whose bytes are not UTF-8, by which the library "
                        f"that is to open it knows files: rename it") from error


def _bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # letters that the system's encoding lacks
        return os.fspath(path).encode("utf-8", "surrogateescape")
