"""What commands print, on whatever standard output and standard error there are."""

from __future__ import annotations

import io
import json
import sys
from typing import Any


def accept_all_letters() -> None:
    """Let standard output and standard error take any text, for the rest of the process.

    A letter that their encoding lacks is written as an escape, such as ``\\u0401``, and does not
    end the command: in a system without a locale the encoding is often ASCII, and names of files
    and classes may be anything.
    """
    for stream in (sys.stdout, sys.stderr):
        # others, such as those of notebooks, take any text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON for standard output: its letters as they are where they can be printed.

    Escapes of JSON's own stand for all others, since a reader knows no others.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def unprintable(error: UnicodeEncodeError) -> str:
    """Say that a name or text cannot be used here, and what to do."""
    name = error.object.encode("ascii", "backslashreplace").decode("ascii")
    return (f"{name!r} cannot be used with this locale, whose encoding is {error.encoding}: "
            f"set PYTHONUTF8=1, or rename it to ASCII")
