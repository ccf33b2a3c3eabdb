"""JSON files of strangers, in any encoding that JSON may be in, and numbers in them."""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any

#: Bytes of one file: the largest published sets have less than half.
MAX_JSON = 2**31
#: Bytes that are looked at, at either end.
_EDGE = 4096


def read_json(file: Path) -> Any:
    """Read a JSON file. Raises ValueError, a sentence without the file's name, or OSError."""
    size = file.stat().st_size
    if size > MAX_JSON:
        raise ValueError(f"it has {size:,} bytes, and none of its kind has more than "
                         f"{MAX_JSON:,}")
    return parse_json(file.read_bytes())


def parse_json(content: bytes | str) -> Any:
    """Parse JSON. Raises ValueError, a sentence."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, or it is truncated: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in {error.encoding} ({error.reason} at byte "
                         f"{error.start})") from error
    except RecursionError as error:
        raise ValueError("it is nested deeper than any annotation is") from error


def has_keys(file: Path, *keys: str) -> bool:
    """Tell whether a file has all these keys somewhere, without parsing it."""
    # not a link to nowhere, and not empty
    if not file.is_file() or not file.stat().st_size:
        return False
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0,
                                              access=mmap.ACCESS_READ) as content:
        wide = content[:4].count(0) > 0
        return all(content.find(_quoted(key, wide)) >= 0 for key in keys)


def is_damaged(file: Path) -> bool:
    """Tell whether a file can be no JSON of an annotation, by how it begins and ends.

    Without parsing it: one that is cut short, empty, or of other bytes is damaged; what is damaged
    in its middle is found when it is read.
    """
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        start = stream.read(_EDGE)
        stream.seek(max(0, file.stat().st_size - _EDGE))
        end = stream.read()
    # UTF-16 has a zero beside every letter, and a mark in front
    first, last = (part.translate(None, b"\0\xff\xfe\xef\xbb\xbf").strip() for part in (start, end))
    return not (first[:1] in (b"{", b"[") and last[-1:] in (b"}", b"]"))


def _quoted(key: str, wide: bool) -> bytes:
    # the letters of UTF-16 of either order lie two bytes apart
    text = f'"{key}"'
    return text.encode("utf-16-le")[:-1] if wide else text.encode()


def number(value: Any) -> float:
    """Return a number, also one that is written as text; NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def whole(value: Any) -> int | None:
    """Return a whole number, also one written as text or as 2.0; None for what is none."""
    parsed = number(value)
    return int(parsed) if math.isfinite(parsed) and parsed.is_integer() else None


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Return a size in whole pixels; None where none is stated."""
    sides = whole(width), whole(height)
    return (sides[0], sides[1]) if sides[0] and sides[1] and min(sides[0], sides[1]) > 0 else None
