"""Text on standard output and standard error, whatever their encoding."""

from __future__ import annotations

import io
import json
import sys
from typing import Any


def accept_all_letters() -> None:
    """Let standard output and standard error take any text until the process ends.

    A letter that their encoding lacks is written as an escape, such as ``\\u0401``, and does not
    end the command: in a system without a locale the encoding is often ASCII, and names of files
    and classes may be anything.
    """
    for stream in (sys.stdout, sys.stderr):
        # other streams, such as those of notebooks, take any text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON for standard output, without escapes where its encoding has every letter.

    Else JSON's own escapes are used for all letters but ASCII, as a parser knows no others.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def unprintable(error: UnicodeEncodeError) -> str:
    """Return the sentence that a name cannot be used in this locale, and what to do."""
    name = error.object.encode("ascii", "backslashreplace").decode("ascii")
    return (f"{name!r} cannot be used with this locale, whose encoding is {error.encoding}: "
            f"set PYTHONUTF8=1, or rename it to ASCII")
