"""Text files of strangers: with a byte order mark or in UTF-16, with any system's line ends."""

from __future__ import annotations

import codecs
from pathlib import Path

from ssdreg.errors import DataError

#: Bytes of a file of class names.
MAX_NAMES = 2**20
#: Bytes that show whether a file is text.
_HEAD = 4096

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"),
          (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
          (codecs.BOM_UTF16_BE, "utf-16-be"))


def decoded(content: bytes, errors: str = "strict") -> str:
    """Return the text of a file, which is UTF-8 unless its first bytes say otherwise.

    Without a byte order mark, UTF-16 is known by the zero bytes of its first letters. Raises
    UnicodeDecodeError; with `errors` "surrogateescape", bytes that are no letters become lone
    surrogates, as in names of files.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark):].decode(encoding, errors if mark == codecs.BOM_UTF8
                                              else "strict")
    head = content[:64]
    if len(head) >= 4 and len(content) % 2 == 0 and b"\0" in head:
        if not any(head[0::2]):
            return content.decode("utf-16-be")
        if not any(head[1::2]):
            return content.decode("utf-16-le")
    return content.decode("utf-8", errors)


def is_text(file: Path) -> bool:
    """Tell whether a file begins as text in an encoding that `decoded` knows."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    try:
        decoded(head)
    except UnicodeDecodeError as error:
        # a letter may be cut in two where the head ends
        return len(head) == _HEAD and error.start > _HEAD - 8
    return True


def read_lines(file: Path, limit: int) -> list[str]:
    """Read the lines of a list of files, stripped, without blank ones.

    Raises ValueError, a sentence without the file's name, for one that is too large or no text.
    """
    if file.stat().st_size > limit:
        raise ValueError(f"it has {file.stat().st_size:,} bytes, and no list has more than "
                         f"{limit:,}")
    try:
        text = decoded(file.read_bytes(), "surrogateescape")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in {error.encoding} ({error.reason} at byte "
                         f"{error.start})") from error
    lines = (line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return [line for line in lines if line]


def read_names(file: Path) -> tuple[str, ...]:
    """The class names in a text file, one a line, blank lines skipped.

    Raises DataError for a file that is not UTF-8 or UTF-16, or too large.
    """
    if file.stat().st_size > MAX_NAMES:
        raise DataError(f"{file} has {file.stat().st_size:,} bytes: no list of class names is that "
                        f"large")
    try:
        text = decoded(file.read_bytes())
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not text in UTF-8 ({error.reason} at byte {error.start}): "
                        f"save it anew in that encoding") from error
    return tuple(line for line in map(str.strip, text.splitlines()) if line)


def declared_classes(root: Path) -> tuple[tuple[str, ...] | None, Path | None]:
    """Return the names in ``classes.txt`` or ``labels.txt`` of a folder, and that file."""
    for name in ("classes.txt", "labels.txt"):
        if (root / name).is_file():
            return read_names(root / name), root / name
    return None, None
