"""The folder of results: shards of Parquet or JSON lines, each whole or not there.

A row is a picture: ``image``, the absolute name of its file; ``width`` and ``height``, null where
it could not be read; ``objects``, each with ``class``, ``score`` and ``box`` (left, top, right,
bottom in pixels); and ``error``, null where there is none. A shard is named after its pictures, so
that one that is written twice is the same file. Beside them, `SETTINGS` tells what found all that;
readers of such folders pass over names that begin with ``_``, and those that begin with a dot, as
shards do that are being written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.frame import FrameResult
from ssdreg_runtime.system.files import replacing, visible, write_json
from ssdreg_runtime.system.names import shown

PARQUET, JSONL = "parquet", "jsonl"
FORMATS = (PARQUET, JSONL)
SETTINGS = "_settings.json"


def row_of(result: FrameResult, threshold: float) -> dict[str, Any]:
    """Return the row of a picture with its objects of `threshold` or more."""
    plain = result.detections.above(threshold).to_dict()
    return {"image": shown(result.frame.stream), "width": plain["width"] or None,
            "height": plain["height"] or None, "objects": plain["objects"],
            # the error names the file, whose name need not be text
            "error": result.error.encode("utf-8", "backslashreplace").decode("utf-8") or None}


def shard_name(files: Sequence[bytes], form: str) -> str:
    """Return the name of the shard of these pictures in a format."""
    return f"part-{hashlib.sha256(bytes(1).join(files)).hexdigest()[:16]}.{form}"


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as the extension of `path` says; raise StorageError where it cannot be written."""
    with replacing(path) as beside:
        if path.suffix == f".{JSONL}":
            beside.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows),
                              encoding="utf-8")
            return
        import pyarrow
        from pyarrow import parquet
        objects = pyarrow.list_(pyarrow.struct([
            ("class", pyarrow.string()), ("score", pyarrow.float32()),
            ("box", pyarrow.list_(pyarrow.float32()))]))
        schema = pyarrow.schema([
            ("image", pyarrow.string()), ("width", pyarrow.int32()), ("height", pyarrow.int32()),
            ("objects", objects), ("error", pyarrow.string())])
        parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), beside)


@frozen
class Results:
    """A folder of results in one format, of one detector with one set of settings."""

    folder: Path
    form: str

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make the folder for results of these settings, or go on in one that has such.

        Raises DataError where it holds results of others.
        """
        wanted = {"format": self.form, **settings}
        file = self.folder / SETTINGS
        if not file.is_file():
            if self.folder.is_dir() and any(self._shards(FORMATS)):
                raise DataError(f"{self.folder} holds Parquet files or JSON lines that were not "
                                f"written with --ray: choose another folder for --out")
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(file, wanted)
            return
        try:
            there = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise DataError(f"{file} is damaged, and tells no more what the results beside it were "
                            f"found with: choose another folder for --out") from error
        if there != wanted:
            raise DataError(f"{self.folder} holds results of {_difference(there, wanted)}: choose "
                            f"another folder for --out")

    def done(self) -> Iterator[str]:
        """Give the names of the pictures that it has rows of; raise DataError for a bad shard."""
        for shard in self._shards((self.form,)):
            try:
                yield from _images_of(shard)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(f"{shard} is damaged: remove it, and its pictures are looked at "
                                f"again") from error

    def _shards(self, forms: Iterable[str]) -> Iterator[Path]:
        return (path for path in visible(self.folder)
                if path.suffix[1:] in forms and path.name != SETTINGS)


def _images_of(shard: Path) -> list[str]:
    if shard.suffix == f".{PARQUET}":
        from pyarrow import parquet
        names: list[str] = parquet.ParquetFile(shard).read(["image"])["image"].to_pylist()
        return names
    with shard.open(encoding="utf-8") as lines:
        return [json.loads(line)["image"] for line in lines]


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if there.get("model") != wanted["model"]:
        return "another model"
    return ", ".join(f"{key} {there.get(key)}, not {wanted[key]}" for key in wanted
                     if there.get(key) != wanted[key])
