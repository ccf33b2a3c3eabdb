"""Sizes and orientations of pictures, read from their files' headers, and remembered.

Of a large data set the headers are most of what reading it takes, and they seldom change.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ssdreg_runtime.system.caches import cache
from ssdreg_runtime.system.files import write_json

from ssdreg.data.pictures import Measured, measure

#: Fewer pictures are measured anew in less time than a file of the cache is worth.
LEAST = 1000
#: Raise it when something else is read of a header.
_VERSION = 1


class Headers:
    """What the headers of a data set's pictures say; used as a context, it writes at its end.

    A picture is measured again when its file's size or time has changed.
    """

    def __init__(self, root: Path, pictures: int) -> None:
        self._cache = cache("headers") if pictures >= LEAST else None
        self._file = f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]}.json"
        self._known: dict[str, list[int]] = {}
        self._new = 0

    def __enter__(self) -> Headers:
        kept = self._cache.find(self._file) if self._cache else None
        if kept is not None and kept.is_file():
            self._known = _remembered(kept)
        return self

    def __exit__(self, *_: object) -> None:
        if self._cache is not None and self._new:
            write_json(self._cache.folder() / self._file,
                       {"version": _VERSION, "known": self._known})

    def of(self, file: Path) -> Measured:
        """Return a picture's size and orientation; raise one of `UNREADABLE` for what is none."""
        if self._cache is None:
            return measure(file)
        status = file.stat()
        key = f"{os.fsencode(file.absolute())!r} {status.st_size} {status.st_mtime_ns}"
        if key not in self._known:
            measured = measure(file)
            self._known[key] = [*measured.size, measured.orientation]
            self._new += 1
        width, height, orientation = self._known[key]
        return Measured((width, height), orientation)


def _remembered(file: Path) -> dict[str, list[int]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {str(key): [int(value) for value in values]
                for key, values in content["known"].items() if len(values) == 3}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # it is made again
