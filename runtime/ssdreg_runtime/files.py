"""Files: listed without the hidden ones, and written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` when all went well.

    The extension stays, because writers choose their format by it.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
