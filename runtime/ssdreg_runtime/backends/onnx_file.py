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

from ssdreg_runtime.errors import ModelError

_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2

#: Wire types of Protocol Buffers; those of fixed size with their bytes.
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}

#: Bytes of the longest varint, a number of 64 bits.
_MAX_VARINT_BYTES = 10


def read_metadata(stream: BinaryIO, name: str) -> dict[str, str]:
    """Return the metadata of an ONNX file; raise ModelError when it is none, or truncated."""
    metadata, has_graph = {}, False
    try:
        for number, offset, length in _fields(stream):
            has_graph = has_graph or number == _GRAPH
            if number == _METADATA:
                stream.seek(offset)
                entry = _text_fields(stream.read(length))
                metadata[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{name} is no ONNX file, or it is truncated: fetch or export it again"
                         ) from error
    if not has_graph:
        raise ModelError(f"{name} is no ONNX file: it holds no graph; give one that "
                         f"`ssdreg export` wrote")
    return metadata


def _text_fields(content: bytes) -> dict[int, str]:
    """Return a message's fields, all of them texts, by field number."""
    return {number: content[offset:offset + length].decode("utf-8")
            for number, offset, length in _fields(BytesIO(content))}


def _fields(stream: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield (number, offset, length) of each field; raise ValueError for bytes that are none."""
    end = stream.seek(0, os.SEEK_END)
    offset = stream.seek(0)
    while offset < end:
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
        stream.seek(offset)


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
