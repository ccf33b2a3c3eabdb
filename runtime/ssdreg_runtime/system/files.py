"""Files: listed without the hidden ones, and written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is left out of listings.

    That is where it begins with a dot, as files of macOS (``._name``), editors and unfinished
    writes do. A name that the user gives is accepted, whatever it begins with.
    """
    return name.startswith(".")


def visible(folder: Path) -> list[Path]:
    """Return the paths in a folder, sorted by name, without the hidden ones."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


@contextmanager
def replacing(path: Path, *extensions: str) -> Iterator[Path]:
    """Yield a path beside `path` to write to, and rename it to `path` if no exception is raised.

    The extension stays, because writers choose their format by it. `extensions`, such as
    ``.bin``, are those of other files that the writer makes under the same name: they are renamed
    too, before `path`, which refers to them. The content is on the disk before the rename, so that
    after a crash of the machine the old file is there, or the complete new one.
    """
    # a random name for every writer: threads share a process number, and so do containers on one
    # volume
    beside = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    renames = [(beside.with_suffix(extension), path.with_suffix(extension))
               for extension in extensions] + [(beside, path)]
    try:
        yield beside
        for source, _ in renames:
            _sync(source)
        for source, target in renames:
            source.replace(target)
        _sync(path.parent)
    finally:
        for source, _ in renames:
            source.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, and put it there if no exception is raised.

    A folder that is there stays until then, and is deleted when the new one has its place.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside, before = (folder.with_name(f".{folder.name}.{uuid4().hex}") for _ in range(2))
    beside.mkdir()
    try:
        yield beside
        there = folder.exists()
        if there:
            folder.replace(before)
        try:
            beside.replace(folder)
        except OSError:
            if there:
                before.replace(folder)
            raise
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # file systems without fsync (some network ones) order their writes themselves
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, completely or not at all."""
    try:
        content = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # a file name with bytes that are no text
        content = json.dumps(value, indent=2).encode("ascii")
    with replacing(path) as beside:
        beside.write_bytes(content + b"\n")
