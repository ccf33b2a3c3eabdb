"""Files: listed without the hidden ones, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is passed over where names are listed.

    Those that begin with a dot: what macOS (``._name``), editors and unfinished writes leave. A
    name that somebody gives is taken, whatever it begins with.
    """
    return name.startswith(".")


def visible(folder: Path) -> list[Path]:
    """List what is in a folder by name, without the hidden ones."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


@contextmanager
def replacing(path: Path, *extensions: str) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` when all went well.

    The extension stays, because writers choose their format by it. `extensions`, such as
    ``.bin``, are those of other files that the writer makes under the same name: they are moved
    too, before `path`, which names the whole. What was written is on the disk before it is
    renamed, so that after a crash of the machine the old file is there, or the new one, whole.
    """
    # a number of its own for every writer: threads share a process, and in containers on one
    # volume every process is number 1
    beside = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    written = [(beside.with_suffix(extension), path.with_suffix(extension))
               for extension in extensions] + [(beside, path)]
    try:
        yield beside
        for new, _ in written:
            _sync(new)
        for new, target in written:
            new.replace(target)
        _sync(path.parent)
    finally:
        for new, _ in written:
            new.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # file systems without it (some of networks) order their writes themselves
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    try:
        content = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # a file's name with bytes that are no letters
        content = json.dumps(value, indent=2).encode("ascii")
    with replacing(path) as beside:
        beside.write_bytes(content + b"\n")
