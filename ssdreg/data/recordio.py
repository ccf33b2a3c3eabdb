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
from attrs import frozen

from ssdreg.errors import DataError

_MAGIC = 0xCED7230A
_FRAME = struct.Struct("<II")
_IMAGE_HEADER = struct.Struct("<IfQQ")  # label length, a single label, two identifiers
_LENGTH_BITS = 29
_WHOLE, _FIRST, _LAST = 0, 1, 3
_LEAST_OBJECT_WIDTH = 5  # class, x1, y1, x2, y2; whatever follows is extra
#: More classes than any data set tells apart; what is larger is no class but damage, and a network
#: for it would take all memory there is.
MOST_CLASSES = 30_000


@frozen(eq=False)
class RecordIndex:
    """The records of one file of N: byte ranges and label sizes.

    Objects are of the classes `least_class` to `class_count` - 1, both 0 where there are none.

    `offsets` and `lengths` are int64 arrays (N,) in bytes, `objects` an int64 array (N,) with the
    number of real objects a record. `negative` (N,) tells which have no object at all, where others
    may have some whose boxes enclose nothing. Widths are counted in floats.
    """

    path: Path
    offsets: np.ndarray
    lengths: np.ndarray
    objects: np.ndarray
    negative: np.ndarray
    label_width: int
    max_objects: int
    header_width: int
    object_width: int
    class_count: int
    least_class: int
    #: Records whose label is a header and no object, which MXNet does not take as they are.
    bare: frozenset[int] = frozenset()


def index_records(path: str | os.PathLike[str]) -> RecordIndex:
    """Index the detection records of a ``.rec`` file, remembered until the file changes.

    Raises `DataError` when the file is missing, is not RecordIO, ends early, or holds a label
    that ``ImageDetRecordIter`` cannot use.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such .rec file")
    status = path.stat()
    return _index(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _index(path: Path, size: int, _modified: int) -> RecordIndex:
    offsets: list[int] = []
    lengths: list[int] = []
    labels: list[np.ndarray] = []
    with path.open("rb") as file:
        while file.tell() < size:
            offsets.append(file.tell())
            labels.append(_read_record(file, size, path, len(labels)))
            lengths.append(file.tell() - offsets[-1])
    if not labels:
        raise DataError(f"{path}: this file holds no records; pack it again")
    widths = {(int(label[0]), int(label[1])) for label in labels}
    if len(widths) > 1:
        raise DataError(f"{path}: labels differ in header or object width {sorted(widths)}; pack "
                        f"all images with the same one")
    header_width, object_width = widths.pop()
    tables = [label[header_width:].reshape(-1, object_width) for label in labels]
    real = [_real_objects(table, path, number) for number, table in enumerate(tables)]
    return RecordIndex(
        path=path, offsets=np.array(offsets), lengths=np.array(lengths),
        objects=np.array([len(table) for table in real]),
        negative=np.array([not (table[:, 0] >= 0).any() for table in tables]),
        label_width=max(header_width + object_width, *(len(label) for label in labels)),
        max_objects=max(1, *(len(table) for table in tables)),
        header_width=header_width, object_width=object_width,
        class_count=max((int(table[:, 0].max()) + 1 for table in real if len(table)), default=0),
        least_class=min((int(table[:, 0].min()) for table in real if len(table)), default=0),
        bare=frozenset(number for number, table in enumerate(tables) if not len(table)))


def _read_record(file: BinaryIO, size: int, path: Path, number: int) -> np.ndarray:
    """Return the label of the record at the file's position, and move behind the record."""
    start, flag = file.tell(), _FIRST
    label: np.ndarray | None = None
    # a payload that contains the magic number is split into parts there
    while flag not in (_WHOLE, _LAST):
        frame = file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            raise DataError(f"{path}: the file ends inside record {number}; pack or copy it again")
        magic, word = _FRAME.unpack(frame)
        if magic != _MAGIC:
            raise DataError(f"{path}: this is not a RecordIO file (byte {file.tell() - 8} starts "
                            f"no record); pack it again with im2rec or from its folder")
        flag, length = word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)
        end = file.tell() + (length + 3) // 4 * 4
        if end > size:
            raise DataError(f"{path}: the file ends inside record {number}, which starts at byte "
                            f"{start}; pack or copy it again")
        if label is None:
            label = _read_label(file, length, path, number)
        file.seek(end)
    assert label is not None  # the loop has run: _FIRST is no last part
    return label


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
    """The rows of `table` (K, object width) that enclose an area, as MXNet keeps them."""
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
    return real


def read_records(index: RecordIndex, numbers: Sequence[int]) -> bytes:
    """The framed bytes of these records, one behind the other, ready to be a file themselves.

    A label without an object gets one that encloses nothing, which MXNet reads and drops.
    """
    parts = []
    with index.path.open("rb") as file:
        for number in numbers:
            file.seek(int(index.offsets[number]))
            record = file.read(int(index.lengths[number]))
            parts.append(_with_row(record, index) if number in index.bare else record)
    return b"".join(parts)


def _with_row(record: bytes, index: RecordIndex) -> bytes:
    """Put a row that encloses nothing behind the header of a label that has none."""
    magic, word = _FRAME.unpack_from(record)
    label_length, *rest = _IMAGE_HEADER.unpack_from(record, _FRAME.size)
    row = struct.pack(f"<{index.object_width}f", -1.0, *[0.0] * (index.object_width - 1))
    end = _FRAME.size + _IMAGE_HEADER.size + 4 * label_length
    # the label lies in the first part of a record, and a row is whole words, so nothing else moves
    return b"".join((_FRAME.pack(magic, word + len(row)),
                     _IMAGE_HEADER.pack(label_length + index.object_width, *rest),
                     record[_FRAME.size + _IMAGE_HEADER.size:end], row, record[end:]))


def objects_of(index: RecordIndex, number: int) -> np.ndarray:
    """Return the real objects of a record, (K, 6) float64: class, edges as shares, difficult."""
    with index.path.open("rb") as file:
        file.seek(int(index.offsets[number]))
        label = _read_record(file, index.path.stat().st_size, index.path, number)
    table = label[index.header_width:].reshape(-1, index.object_width)
    real = _real_objects(table, index.path, number)
    objects = np.zeros((len(real), 6))
    columns = min(6, index.object_width)
    objects[:, :columns] = real[:, :columns]
    return objects


def image_of(index: RecordIndex, number: int) -> bytes:
    """The encoded image of a record, empty where it has none."""
    with index.path.open("rb") as file:
        file.seek(int(index.offsets[number]))
        record = file.read(int(index.lengths[number]))
    payload, at = [], 0
    while at < len(record):
        _, word = _FRAME.unpack_from(record, at)
        length = word & ((1 << _LENGTH_BITS) - 1)
        at += _FRAME.size
        payload.append(record[at:at + length])
        at += (length + 3) // 4 * 4
    # where the magic number stood, the payload was split
    whole = struct.pack("<I", _MAGIC).join(payload)
    label_length, *_ = _IMAGE_HEADER.unpack_from(whole)
    return whole[_IMAGE_HEADER.size + 4 * label_length:]
