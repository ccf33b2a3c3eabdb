"""Records of a file that was packed elsewhere, decoded once to prove that each holds an image.

A record that holds none would stop training in the middle. The proof is remembered in the cache
until the file changes, and where a record fails it, a copy of the file without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
from PIL import UnidentifiedImageError
from ssdreg_runtime.io.decoding import decode_picture
from ssdreg_runtime.system.caches import cache
from ssdreg_runtime.system.files import replacing, write_json
from ssdreg_runtime.system.threads import usable_processors

from ssdreg.data import issues as kinds
from ssdreg.data.issues import DataIssue, describe_issues
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.pictures import UNREADABLE, UPRIGHT, orientation_of
from ssdreg.data.recordio import RecordIndex, image_of, index_records, read_records
from ssdreg.data.shards import files_of, is_list
from ssdreg.errors import DataError
from ssdreg.progress import Progress, Telling, Work

#: Raise it when the proof asks for more.
_VERSION = 2


def proved(packed: Packed, progress: Progress | None = None) -> Packed:
    """Return a packed data set whose records all decode; those that do not are left out.

    What was packed here has been proven when it was. Raises DataError when no record with an object
    is left.
    """
    if all(file.with_suffix(".json").is_file() for file in files_of(packed.rec)):
        return packed
    if is_list(packed.rec):
        raise DataError(f"{packed.rec}: a shard lacks its side-car, which packing wrote last; pack "
                        f"again")
    index = index_records(packed.rec)
    kept = cache("proofs")
    name = _name(packed.rec)
    known = kept.find(f"{name}.proof")
    damaged = _remembered(known) if known is not None and known.is_file() else None
    if damaged is None:
        damaged = _damaged(index, progress)
        write_json(kept.folder() / f"{name}.proof",
                   {str(number): why for number, why in damaged.items()})
    if not damaged:
        return packed
    keys = _keys(packed, index)
    issues = tuple(DataIssue(packed.rec, kinds.UNREADABLE_IMAGE,
                             f"record {number} (key {keys[number]}): {why}; left out",
                             f"record {number}") for number, why in damaged.items())
    good = [number for number in range(len(index.offsets)) if number not in damaged]
    if not index.objects[good].sum():
        raise DataError(f"{packed.rec}: no record that has an object holds an image that can be "
                        f"decoded; pack it again\n{describe_issues(issues)}")
    copy = kept.folder() / f"{name}.rec"
    if not copy.is_file():
        with replacing(copy) as beside, beside.open("wb") as stream:
            for number in good:
                stream.write(read_records(index, [number]))
    clean = open_rec(copy, packed.classes)
    return attrs.evolve(clean, issues=(*packed.issues, *issues))


def _name(rec: Path) -> str:
    status = rec.stat()
    key = repr((_VERSION, os.fsencode(rec.resolve()), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _remembered(file: Path) -> dict[int, str] | None:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {int(number): str(why) for number, why in stored.items()}
    except (ValueError, AttributeError, RecursionError):
        return None  # it is made again


def _damaged(index: RecordIndex, progress: Progress | None) -> dict[int, str]:
    """Decode every record, several at once; return what is wrong with those that cannot be."""
    count = len(index.offsets)
    work = Work(what=f"looking at {index.path.name}", unit="records", total=count)
    with ThreadPoolExecutor(len(usable_processors())) as pool:
        faults = Telling(progress, work).over(
            pool.map(lambda number: _fault(image_of(index, number)), range(count)))
        return {number: why for number, why in enumerate(faults) if why}


def _fault(content: bytes) -> str:
    """Decode an image as training does, and say what is wrong with it; "" for nothing."""
    if not content:
        return "it holds no image"
    try:
        image = decode_picture(content).image
    except UnidentifiedImageError:
        return "its image cannot be decoded"
    except UNREADABLE as error:
        return f"its image is damaged: {error}"
    orientation = orientation_of(image)
    if orientation != UPRIGHT:
        return (f"its camera noted orientation {orientation}, and a record does not tell whether "
                f"its boxes are on the picture as stored: pack it again from upright pictures")
    return ""


def _keys(packed: Packed, index: RecordIndex) -> list[str]:
    """Return what the ``.idx`` calls each record, else the identifier in its header."""
    by_offset: dict[int, str] = {}
    if packed.idx is not None:
        for line in packed.idx.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, offset = line.partition("\t")
            if offset.strip().isdigit():
                by_offset[int(offset)] = key
    with packed.rec.open("rb") as stream:
        keys = []
        for offset in index.offsets.tolist():
            stream.seek(offset + 16)
            keys.append(by_offset.get(offset) or str(struct.unpack("<Q", stream.read(8))[0]))
    return keys
