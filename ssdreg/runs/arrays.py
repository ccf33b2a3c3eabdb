"""MXNet's files of named arrays, looked through before MXNet reads them.

MXNet takes the room that a file claims before it looks how long the file is: one changed byte in a
file of 9 MB takes gigabytes, and others end the process. So every header is read here first, and
nothing behind it asks again.

A list begins with two words of 64 bits, a magic number and 0. Then comes the number of arrays, the
arrays, the number of names, and the names, each with its length. An array is its header (a magic
number, the storage, the shape, a device, a type) and its numbers. Files of MXNet before 1.0 have no
storage, and the oldest the number of axes where the magic number is.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from attrs import field, frozen
from ssdreg_runtime.system.names import native

from ssdreg.errors import RunError
from ssdreg.graph import symbol_file

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Bytes of one file of parameters: the largest detector has half a gibibyte.
MAX_BYTES = 4 * 2**30

_LIST = 0x112
#: Magic numbers of an array: with a storage (shapes of NumPy, and without), and without one.
_WITH_STORAGE = (0xF993FACA, 0xF993FAC9)
_WITHOUT_STORAGE = 0xF993FAC8
#: Axes that MXNet's operators take arrays of, and more.
_MAX_AXES = 32
#: Arrays of one file: a network has a few thousand parameters, the optimizer some for each.
_MAX_ARRAYS = 200_000
#: The device that an array was saved from: processor, GPU, pinned and shared memory.
_DEVICES = (1, 2, 3, 5)
#: NumPy's type for each number of MXNet's; bfloat16 is the upper half of a float32.
_BFLOAT16 = 12
_TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", 7: "?", 8: "<i2",
          9: "<u2", 10: "<u4", 11: "<u8", _BFLOAT16: "<u2"}


@frozen
class ArrayHeader:
    """What a file says of one array: its shape, MXNet's number of its type, and where it begins.

    `finite` tells whether all its numbers are finite, also as the float32 that a detector takes.
    """

    shape: tuple[int, ...]
    type_number: int
    offset: int = field(repr=False)
    finite: bool = True


def read_arrays(file: Path) -> dict[str, mx.nd.NDArray]:
    """Read a file of named arrays that ``mx.nd.save`` wrote.

    Raises RunError for what is none, is damaged, or holds numbers that are none, NaN or infinite.
    """
    from ssdreg.mx import mx
    refuse_not_finite(file, [name for name, header in read_headers(file).items()
                             if not header.finite])
    try:
        arrays: dict[str, mx.nd.NDArray] = mx.nd.load(native(file))
    # headers that tally, and a file that another process cuts short meanwhile
    except (mx.MXNetError, UnicodeDecodeError) as error:
        raise RunError(_damaged(file, "MXNet cannot read it")) from error
    return arrays


def refuse_not_finite(where: Path, names: Sequence[str]) -> None:
    """Raise RunError where there are names: of parameters that hold NaN or infinite numbers."""
    if names:
        more = f", nor are {len(names) - 1} more" if len(names) > 1 else ""
        raise RunError(f"{names[0]!r} in {where} is not a number everywhere: "
                       f"{names[0].rpartition(':')[2]!r} in it is not finite{more}; its training "
                       f"diverged, or the file is damaged; take an earlier epoch")


def is_finite(values: np.ndarray) -> bool:
    """Tell whether all numbers are finite, also as the float32 that a detector takes."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(values.astype("f4", copy=False)).all())


def read_headers(file: Path) -> dict[str, ArrayHeader]:
    """Read what a file says of its arrays, by name, and hold it against the file's size.

    Raises RunError for what is no file of named arrays, or is damaged.
    """
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise RunError(f"{file} has {size:,} bytes, and no file of parameters has more "
                               f"than {MAX_BYTES:,}")
            return _Walk(file, stream, size).headers()
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(_damaged(file, error)) from error


def _damaged(file: Path, reason: object) -> str:
    return f"{file} is no parameter file of MXNet, or it is truncated: {reason}"


class _Walk:
    """A file on the way from its beginning to its end; ValueError says where it breaks off."""

    def __init__(self, file: Path, stream: BinaryIO, size: int) -> None:
        self._file, self._stream, self._size = file, stream, size

    def headers(self) -> dict[str, ArrayHeader]:
        """Return the arrays' headers by name, each held against what is left of the file."""
        if self._size < 24 or self._numbers("<QQ") != (_LIST, 0):
            raise ValueError("it does not begin as such files do")
        count, = self._numbers("<Q")
        if count > _MAX_ARRAYS:
            raise ValueError(f"it claims {count:,} arrays")
        headers = [self._array(number) for number in range(count)]
        named, = self._numbers("<Q")
        if not named and headers:
            raise RunError(f"{self._file} holds arrays without names; a checkpoint names them")
        if named != count:
            raise ValueError(f"it holds {count:,} arrays and claims {named:,} names")
        names = [self._name() for _ in range(named)]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"it holds {twice!r} twice")
        if self._left:
            raise ValueError(f"{self._left:,} bytes follow its end")
        return dict(zip(names, headers))

    @property
    def _left(self) -> int:
        return self._size - self._stream.tell()

    def _numbers(self, layout: str) -> tuple[int, ...]:
        length = struct.calcsize(layout)
        content = self._stream.read(length)
        if len(content) < length:
            raise ValueError("it ends inside of an array's header")
        return struct.unpack(layout, content)

    def _array(self, number: int) -> ArrayHeader:
        magic, = self._numbers("<I")
        if magic in _WITH_STORAGE and self._numbers("<i") != (0,):
            raise ValueError(f"its array {number} is sparse, or damaged")
        wide = magic in _WITH_STORAGE or magic == _WITHOUT_STORAGE
        axes = self._numbers("<I")[0] if wide else magic
        if not 1 <= axes <= _MAX_AXES:
            raise ValueError(f"its array {number} has {axes:,} axes")
        shape = self._numbers(f"<{axes}{'q' if wide else 'I'}")
        device, _, type_number = self._numbers("<iii")
        if min(shape) < 1 or device not in _DEVICES or type_number not in _TYPES:
            raise ValueError(f"the header of its array {number} is damaged")
        dtype, values = np.dtype(_TYPES[type_number]), math.prod(shape)
        if values * dtype.itemsize > self._left:
            raise ValueError(f"its array {number} has {values:,} numbers, and {self._left:,} bytes "
                             f"are left")
        offset = self._stream.tell()
        return ArrayHeader(shape, type_number, offset, self._finite(dtype, type_number, values))

    def _finite(self, dtype: np.dtype, type_number: int, count: int) -> bool:
        """Go behind an array's numbers, and tell whether all of them are numbers."""
        if dtype.kind != "f" and type_number != _BFLOAT16:
            self._stream.seek(count * dtype.itemsize, os.SEEK_CUR)
            return True
        values = np.fromfile(self._stream, dtype, count)
        if type_number == _BFLOAT16:
            # all bits of the exponent are set in what is none
            return not ((values & 0x7F80) == 0x7F80).any()
        return is_finite(values)

    def _name(self) -> str:
        length, = self._numbers("<Q")
        if length > self._left:
            raise ValueError("it ends inside of its names")
        # patterns are looked for in the names
        if length > symbol_file.MAX_NAME:
            raise RunError(f"{self._file} holds a name of {length:,} characters: it is no "
                           f"checkpoint")
        content = self._stream.read(length)
        if b"\0" in content:
            raise ValueError("a name in it holds a zero byte")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("a name in it is no text") from error
