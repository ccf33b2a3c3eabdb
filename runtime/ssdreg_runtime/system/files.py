"""Files: listed without the hidden ones, and written completely or not at all.

Whatever ssdreg writes is written beside its place, flushed to the disk, renamed into its place, and
the folder is flushed. So a crash at any moment, of the machine too, leaves the old file or the new
one. What a killed process has left beside is removed when the next one writes into that folder; see
`ssdreg_runtime.system.leftovers`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ssdreg_runtime.errors import StorageError
from ssdreg_runtime.system.leftovers import BEFORE, own_mark, sweep_once

#: What a disk says that does not take what is written, and what helps.
_REFUSALS = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some of your quota of its disk",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose a place that is not mounted for reading only",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EIO: "its disk fails: choose another",
}
#: Bytes of a file that are read at a time.
_CHUNK = 2**20
#: A folder with more files than this is flushed with all that waits for the disks.
_FEW = 64


def advice_on(error: OSError) -> str | None:
    """Return what helps where a disk did not take what was written; None for other errors."""
    return _REFUSALS.get(error.errno or 0)


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
def stored(path: Path, beside: Path | None = None) -> Iterator[None]:
    """Turn what a disk refuses while `path` is written into a StorageError, which names it.

    `beside` is what is written in its place, if anything. What is refused of other files, which
    are read at the same time, stays as it is.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        advice = advice_on(error)
        if advice is None or not _concerns(error, path, beside or path):
            raise
        raise StorageError(f"{path} cannot be written: {error.strerror}; {advice}. What was there "
                           f"before is whole", error) from error


def _concerns(error: OSError, path: Path, beside: Path) -> bool:
    name = error.filename
    return not isinstance(name, str) or Path(name) in (path, path.parent) or name.startswith(
        str(beside.with_suffix("")))


@contextmanager
def replacing(path: Path, *extensions: str) -> Iterator[Path]:
    """Yield a path beside `path` to write to, and rename it to `path` if no exception is raised.

    The extension stays, because writers choose their format by it. `extensions`, such as
    ``.bin``, are those of other files that the writer makes under the same name: they are renamed
    too, before `path`, which refers to them. The content is on the disk before the rename, so that
    after a crash of the machine the old file is there, or the complete new one. Raises StorageError
    where the disk is full, or cannot be written to.
    """
    sweep_once(path.parent)
    beside = path.with_name(f".{path.stem}.{own_mark()}{path.suffix}")
    renames = [(beside.with_suffix(extension), path.with_suffix(extension))
               for extension in extensions] + [(beside, path)]
    try:
        with stored(path, beside):
            yield beside
            for source, _ in renames:
                sync(source)
            for source, target in renames:
                source.replace(target)
            sync(path.parent)
    finally:
        for source, _ in renames:
            with suppress(OSError):  # what cannot be removed now is swept some time
                source.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, and put it there if no exception is raised.

    A folder that is there stays until then, and is deleted when the new one has its place. All that
    is in the new one is on the disk before. Raises what `replacing` raises.
    """
    beside = folder.with_name(f".{folder.name}.{own_mark()}")
    before = folder.with_name(f".{folder.name}.{own_mark()}{BEFORE}")
    with stored(folder, beside):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(folder.parent)
        beside.mkdir()
        try:
            yield beside
            _sync_all(beside)
            there = folder.exists()
            if there:
                folder.replace(before)
            try:
                beside.replace(folder)
            except OSError:
                if there:
                    before.replace(folder)
                raise
            sync(folder.parent)
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder for what is needed for a while, which is deleted afterwards.

    It is below the temporary folder, and nobody else may look into it. What killed processes have
    left there is removed. Raises StorageError where there is no temporary folder, or it is full.
    """
    try:
        base = Path(tempfile.gettempdir())
    except OSError as error:
        raise StorageError("there is no temporary folder that can be written: set TMPDIR to one, "
                           "or free some space on its disk", error) from error
    sweep_once(base)
    folder = base / f".ssdreg.{own_mark()}"
    with stored(folder):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    """Wait until all that is in a folder is on the disk."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    if len(files) > _FEW:  # one wait, and not one for each
        os.sync()
        return
    for file in files:
        sync(file)
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync(path)


def sync(path: Path) -> None:
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


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    total = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, completely or not at all."""
    try:
        content = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # a file name with bytes that are no text
        content = json.dumps(value, indent=2).encode("ascii")
    with replacing(path) as beside:
        beside.write_bytes(content + b"\n")
