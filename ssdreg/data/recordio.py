"""Records of a RecordIO file as bytes: where each lies and what its detection label holds.

The framing is dmlc-core's: a magic number, a word with a 3-bit part flag and a 29-bit length, the
payload, padding to 4 bytes. A payload starts with MXNet's image record header. No image is decoded
here.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from attrs import field, frozen

from ssdreg.data.shards import files_of
from ssdreg.errors import DataError

MAGIC = 0xCED7230A
#: In front of each part of a record: the magic number, and a word that `split_word` takes apart.
FRAME = struct.Struct("<II")
_IMAGE_HEADER = struct.Struct("<IfQQ")  # label length, a single label, two identifiers
_LENGTH_BITS = 29
_WHOLE, FIRST, _LAST = 0, 1, 3
#: The flags of a part behind which the next record begins.
ENDS = (_WHOLE, _LAST)
_LEAST_OBJECT_WIDTH = 5  # class, x1, y1, x2, y2; whatever follows is extra
_COLUMNS = 6  # of a table: with difficult
#: More classes than any data set tells apart; what is larger is no class but damage, and a network
#: for it would take all memory there is.
MOST_CLASSES = 30_000


@frozen(eq=False)
class RecordIndex:
    """The N records of a ``.rec`` file, or of several: byte ranges and labels.

    - `files`: the files; `file` (N,) int32 says which of them a record is in
    - `offsets`, `lengths`: (N,) int64, in bytes
    - `objects`: (N,) int64, real objects a record; `negative` (N,) bool, which have no object at
      all, where others may have some whose boxes enclose nothing
    - `table`: (K, 6) float32, a row an object, record by record: class, edges as shares, difficult;
      those of record n are rows `first[n]` to `first[n + 1]`
    - widths of labels are counted in floats; objects are of the classes `least_class` to
      `class_count` - 1, both 0 where there are none
    """

    path: Path
    files: tuple[Path, ...] = field(repr=False)
    file: np.ndarray = field(repr=False)
    offsets: np.ndarray = field(repr=False)
    lengths: np.ndarray = field(repr=False)
    objects: np.ndarray = field(repr=False)
    negative: np.ndarray = field(repr=False)
    table: np.ndarray = field(repr=False)
    first: np.ndarray = field(repr=False)
    label_width: int
    max_objects: int
    header_width: int
    object_width: int
    class_count: int
    least_class: int


def index_records(path: str | os.PathLike[str]) -> RecordIndex:
    """Index the detection records of a ``.rec`` file, or of shards, remembered until they change.

    Raises `DataError` when a file is missing, is not RecordIO, ends early, or holds a label that
    is none of detection.
    """
    path = Path(path)
    files = files_of(path)
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: there is no such .rec file")
    stats = [file.stat() for file in files]
    return _index(path, files, tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


@functools.lru_cache(maxsize=16)
def _index(path: Path, files: tuple[Path, ...], sizes: tuple[tuple[int, int], ...]) -> RecordIndex:
    parts = [_index_file(file, size) for file, (size, _) in zip(files, sizes)]
    widths = {(part.header_width, part.object_width) for part in parts if len(part.offsets)}
    if not widths:
        raise DataError(f"{path}: this file holds no records; pack it again")
    if len(widths) > 1:
        raise DataError(f"{path}: labels differ in header or object width {sorted(widths)}; pack "
                        f"all images with the same one")
    header_width, object_width = widths.pop()
    objects = np.concatenate([part.objects for part in parts])
    table = np.concatenate([part.table for part in parts])
    return RecordIndex(
        path=path, files=files,
        file=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.offsets)
                                                               for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]), objects=objects,
        negative=np.concatenate([part.negative for part in parts]), table=table,
        first=np.concatenate([[0], np.cumsum(objects)]),
        label_width=max(part.label_width for part in parts),
        max_objects=max(part.max_objects for part in parts), header_width=header_width,
        object_width=object_width, class_count=int(table[:, 0].max(initial=-1)) + 1,
        least_class=int(table[:, 0].min()) if len(table) else 0)


@frozen(eq=False)
class _FileIndex:
    """The records of one file; see `RecordIndex`."""

    offsets: np.ndarray
    lengths: np.ndarray
    objects: np.ndarray
    negative: np.ndarray
    table: np.ndarray
    label_width: int
    max_objects: int
    header_width: int
    object_width: int


def _index_file(path: Path, size: int) -> _FileIndex:
    offsets: list[int] = []
    lengths: list[int] = []
    tables: list[np.ndarray] = []
    rows: list[int] = []
    negative: list[bool] = []
    widths: set[tuple[int, int]] = set()
    longest = 0
    with path.open("rb") as file:
        while file.tell() < size:
            number = len(offsets)
            offsets.append(file.tell())
            label = _read_record(file, size, path, number)
            lengths.append(file.tell() - offsets[-1])
            widths.add((int(label[0]), int(label[1])))
            if len(widths) > 1:
                raise DataError(f"{path}: labels differ in header or object width "
                                f"{sorted(widths)}; pack all images with the same one")
            table = label[int(label[0]):].reshape(-1, int(label[1]))
            tables.append(_real_objects(table, path, number))
            rows.append(len(table))
            negative.append(not (table[:, 0] >= 0).any())
            longest = max(longest, len(label))
    # a shard is empty where none of its images can be decoded
    header_width, object_width = widths.pop() if offsets else (0, 0)
    return _FileIndex(np.array(offsets, np.int64), np.array(lengths, np.int64),
                      np.array([len(table) for table in tables], np.int64),
                      np.array(negative, bool),
                      np.concatenate([np.zeros((0, _COLUMNS), np.float32), *tables]),
                      max(header_width + object_width, longest), max([1, *rows]),
                      header_width, object_width)


def _read_record(file: BinaryIO, size: int, path: Path, number: int) -> np.ndarray:
    """Return the label of the record at the file's position, and move behind the record."""
    start, flag = file.tell(), FIRST
    label: np.ndarray | None = None
    # a payload that contains the magic number is split into parts there
    while flag not in ENDS:
        frame = file.read(FRAME.size)
        if len(frame) < FRAME.size:
            raise DataError(f"{path}: the file ends inside record {number}; pack or copy it again")
        magic, word = FRAME.unpack(frame)
        if magic != MAGIC:
            raise DataError(f"{path}: this is not a RecordIO file (byte {file.tell() - 8} starts "
                            f"no record); pack it again with im2rec or from its folder")
        flag, length = split_word(word)
        end = file.tell() + (length + 3) // 4 * 4
        if end > size:
            raise DataError(f"{path}: the file ends inside record {number}, which starts at byte "
                            f"{start}; pack or copy it again")
        if label is None:
            label = _read_label(file, length, path, number)
        file.seek(end)
    assert label is not None  # the loop has run: FIRST is no last part
    return label


def split_word(word: int) -> tuple[int, int]:
    """Return the flag of a record's part, and the length of its payload in bytes."""
    return word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)


def join_parts(parts: Sequence[bytes]) -> bytes:
    """Return the payload of a record: where the magic number stood, it was split."""
    return struct.pack("<I", MAGIC).join(parts)


def _read_label(file: BinaryIO, length: int, path: Path, number: int) -> np.ndarray:
    where = f"{path}: record {number}"
    if length < _IMAGE_HEADER.size:
        raise DataError(f"{where} holds no image; pack images with im2rec or from their folder")
    label_length, *_ = _IMAGE_HEADER.unpack(file.read(_IMAGE_HEADER.size))
    wrong = (f"{where} holds no detection label (header width, object width, then objects of at "
             f"least class, x1, y1, x2, y2); was it packed for classification?")
    if label_length < 2 or _IMAGE_HEADER.size + 4 * label_length > length:
        raise DataError(wrong)
    label = np.frombuffer(file.read(4 * label_length), "<f4")
    header_width, object_width = label[:2]
    whole = float(header_width).is_integer() and float(object_width).is_integer()
    if (not whole or header_width < 2 or object_width < _LEAST_OBJECT_WIDTH
            or header_width > label_length or (label_length - header_width) % object_width):
        raise DataError(wrong)
    return label


def _real_objects(table: np.ndarray, path: Path, number: int) -> np.ndarray:
    """Return the rows of a label (K, object width) that enclose an area, (k, 6) float32."""
    if not np.isfinite(table[:, :_LEAST_OBJECT_WIDTH]).all():
        raise DataError(f"{path}: record {number} has a label with numbers that are none (NaN or "
                        f"infinite); pack it again")
    real = table[(table[:, 3] > table[:, 1]) & (table[:, 4] > table[:, 2])]
    if len(real) and (real[:, 0] % 1).any():
        odd = real[real[:, 0] % 1 != 0][0, 0]
        raise DataError(f"{path}: record {number} has the class {odd:g}; classes are whole numbers "
                        f"from 0: pack it again")
    if len(real) and real[:, 0].max() >= MOST_CLASSES:
        raise DataError(f"{path}: record {number} has the class {real[:, 0].max():g}, and no data "
                        f"set has more than {MOST_CLASSES:,}: the label is damaged, or counts "
                        f"something else; pack it again")
    if len(real) and real[:, 0].min() < 0:
        raise DataError(f"{path}: record {number} has the class {real[:, 0].min():g}; classes "
                        f"count from 0")
    # a little over 1 is rounding; much over 1 is pixels
    if len(real) and (real[:, 1:5].min() < -0.01 or real[:, 1:5].max() > 1.01):
        raise DataError(f"{path}: record {number} has box edges outside 0 to 1; divide them by the "
                        f"image's width and height when packing")
    rows = np.zeros((len(real), _COLUMNS), np.float32)
    columns = min(_COLUMNS, table.shape[1])
    rows[:, :columns] = real[:, :columns]
    return rows


def read_records(index: RecordIndex, numbers: Sequence[int]) -> bytes:
    """Return the framed bytes of these records, one behind the other, ready to be a file."""
    return b"".join(_record(index, number) for number in numbers)


def _record(index: RecordIndex, number: int) -> bytes:
    with index.files[index.file[number]].open("rb") as file:
        file.seek(int(index.offsets[number]))
        return file.read(int(index.lengths[number]))


def objects_of(index: RecordIndex, number: int) -> np.ndarray:
    """Return the real objects of a record, (K, 6) float64: class, edges as shares, difficult."""
    return index.table[index.first[number]:index.first[number + 1]].astype(np.float64)


def image_of(index: RecordIndex, number: int) -> bytes:
    """The encoded image of a record, empty where it has none."""
    record = _record(index, number)
    payload, at = [], 0
    while at < len(record):
        _, word = FRAME.unpack_from(record, at)
        _, length = split_word(word)
        at += FRAME.size
        payload.append(record[at:at + length])
        at += (length + 3) // 4 * 4
    whole = join_parts(payload)
    label_length, *_ = _IMAGE_HEADER.unpack_from(whole)
    return whole[_IMAGE_HEADER.size + 4 * label_length:]
