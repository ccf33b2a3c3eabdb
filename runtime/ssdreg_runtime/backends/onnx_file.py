"""An ONNX file, checked before a runtime reads it, and its metadata.

Both runtimes report a truncated or foreign file in many lines, and OpenVINO also tries to read it
as one of TensorFlow's. So the outermost message of Protocol Buffers is read here first: each of its
fields states its length. Field numbers are those of `ModelProto` in onnx.proto.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

import numpy as np

from ssdreg_runtime.errors import ModelError

_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2
#: Of GraphProto its constants, and of these (TensorProto) their type, name, and numbers as bytes.
_CONSTANT = 5
_TYPE, _NAME, _NUMBERS = 2, 8, 9

#: NumPy's type for each of ONNX's that holds fractions; bfloat16 is the upper half of a float32.
_BFLOAT16 = 16
_FRACTIONS = {1: "<f4", 10: "<f2", 11: "<f8", _BFLOAT16: "<u2"}

#: Wire types of Protocol Buffers; those of fixed size with their bytes.
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}

#: Bytes of the longest varint, a number of 64 bits.
_MAX_VARINT_BYTES = 10


def read_metadata(stream: BinaryIO, name: str) -> dict[str, str]:
    """Return the metadata of an ONNX file.

    Raises ModelError when it is none, is truncated, or has parameters that are NaN or infinite.
    """
    metadata, has_graph, broken = {}, False, ""
    try:
        for number, offset, length in _fields(stream):
            has_graph = has_graph or number == _GRAPH
            if number == _GRAPH:
                broken = broken or _not_finite(stream, offset, length)
            elif number == _METADATA:
                stream.seek(offset)
                entry = _text_fields(stream.read(length))
                metadata[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{name} is no ONNX file, or it is truncated: fetch or export it again"
                         ) from error
    if not has_graph:
        raise ModelError(f"{name} is no ONNX file: it holds no graph; give one that "
                         f"`ssdreg export` wrote")
    if broken:
        raise ModelError(f"{broken!r} in {name} is not finite: the file is damaged; fetch or "
                         f"export it again")
    return metadata


def _not_finite(stream: BinaryIO, begin: int, length: int) -> str:
    """Return the name of the first constant of a graph that is not finite; empty for none."""
    try:
        for number, offset, size in _fields(stream, begin, begin + length):
            if number == _CONSTANT:
                name = _name_if_not_finite(stream, offset, size)
                if name:
                    return name
    except ValueError:
        pass  # damaged inside, of which the runtime that reads it says more
    return ""


def _name_if_not_finite(stream: BinaryIO, begin: int, length: int) -> str:
    parts = {number: (offset, size)
             for number, offset, size in _fields(stream, begin, begin + length)}
    if _TYPE not in parts or _NUMBERS not in parts:
        return ""
    stream.seek(parts[_TYPE][0])
    kind = _read_varint(stream)
    if kind not in _FRACTIONS:
        return ""
    dtype = np.dtype(_FRACTIONS[kind])
    offset, size = parts[_NUMBERS]
    stream.seek(offset)
    values = np.frombuffer(stream.read(size // dtype.itemsize * dtype.itemsize), dtype)
    # all bits of the exponent are set in what is none
    finite = (not ((values & 0x7F80) == 0x7F80).any() if kind == _BFLOAT16
              else np.isfinite(values).all())
    if finite:
        return ""
    offset, size = parts.get(_NAME, (0, 0))
    stream.seek(offset)
    return stream.read(size).decode("utf-8", "replace") or "a constant without a name"


def _text_fields(content: bytes) -> dict[int, str]:
    """Return a message's fields, all of them texts, by field number."""
    return {number: content[offset:offset + length].decode("utf-8")
            for number, offset, length in _fields(BytesIO(content))}


def _fields(stream: BinaryIO, begin: int = 0, end: int | None = None
            ) -> Iterator[tuple[int, int, int]]:
    """Yield (number, offset, length) of each field between two places, by default of all.

    A number's length is 0: it lies at the offset. Raises ValueError for bytes that are no fields.
    """
    if end is None:
        end = stream.seek(0, os.SEEK_END)
    offset = begin
    while offset < end:
        stream.seek(offset)
        tag = _read_varint(stream)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            start, length = stream.tell(), 0
            _read_varint(stream)
            offset = stream.tell()
        elif wire == _LENGTH_DELIMITED or wire in _FIXED_SIZES:
            length = _FIXED_SIZES[wire] if wire in _FIXED_SIZES else _read_varint(stream)
            start = stream.tell()
            offset = start + length
        else:
            raise ValueError(f"there is no wire type {wire}")
        if number == 0 or offset > end:
            raise ValueError(f"field {number} at {start} has {length} bytes, the file {end}")
        yield number, start, length


def _read_varint(stream: BinaryIO) -> int:
    """Read a number of 7 bits a byte, the lowest first."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        byte = stream.read(1)
        if not byte:
            raise ValueError("the file ends in a number")
        value |= (byte[0] & 0x7F) << 7 * index
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")
