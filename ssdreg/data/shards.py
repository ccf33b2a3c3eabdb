"""Shards: a packed data set in several files, named by one list, of which machines read parts.

``NAME.shards`` is JSON and lists ``.rec`` files beside it. ``NAME.shards/2-of-4`` is the second of
four parts of it, for the second of four machines: every fourth file, so that parts are disjoint and
together the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ssdreg_runtime.system.files import write_json

from ssdreg.errors import DataError

REC, SHARDS = ".rec", ".shards"
_PART = re.compile(r"(\d+)-of-(\d+)")


def is_packed(path: Path) -> bool:
    """Tell whether a path names a packed data set: a file, a list of shards, or a part of one."""
    return path.suffix in (REC, SHARDS) or path.parent.suffix == SHARDS


def is_list(path: Path) -> bool:
    """Tell whether a path names shards, or a part of them."""
    return path.suffix == SHARDS or path.parent.suffix == SHARDS


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files of a packed data set: itself, or those of its list, or of the part.

    Raises DataError for a list that is none, and a part that it does not have.
    """
    if not is_list(path):
        return (path,)
    if path.suffix == SHARDS:
        return _listed(path)
    match = _PART.fullmatch(path.name)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    files = _listed(path.parent)
    if not 1 <= number <= count <= len(files):
        raise DataError(f"{path}: {path.name} is no part of {len(files)} shards: write 1-of-4 for "
                        f"the first of four, which are no more than there are shards")
    return files[number - 1::count]


def names_of(path: Path) -> tuple[str, ...]:
    """Return the names of the classes that a list of shards has."""
    return tuple(_content(path if path.suffix == SHARDS else path.parent)["classes"])


def write_list(path: Path, files: Sequence[Path], classes: Sequence[str], digest: str) -> None:
    """Write the list of shards that lie beside it; `digest` is that of what they hold."""
    write_json(path, {"files": [file.name for file in files], "classes": list(classes),
                      "digest": digest})


def withdraw_list(path: Path, digest: str) -> None:
    """Delete a list unless it is of shards with this digest: their files are to be replaced.

    A list beside files of another state would give their objects the names of other classes.
    """
    try:
        if path.is_file() and _content(path)["digest"] != digest:
            path.unlink()
    except DataError:
        path.unlink()  # it is no list, and is written again


def _listed(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(name) for name in _content(path)["files"])


def _content(path: Path) -> dict[str, list[str]]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such list of shards")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(name, str) and Path(name).name == name
                   for name in (*content["files"], content["digest"])) or not content["files"]:
            raise ValueError("it names no files beside it")
        content["classes"] = [str(name) for name in content["classes"]]
        return dict(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: this is no list of shards, as `ssdreg data pack` writes it "
                        f"({error}); pack again") from error
