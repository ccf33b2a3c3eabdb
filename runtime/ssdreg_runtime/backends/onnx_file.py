"""An ONNX file seen from outside: is it whole, and what do its metadata say?

Both runtimes tell of a truncated or foreign file at length, and OpenVINO looks whether it might be
one of TensorFlow's. So its outermost layer is read here first: a message of Protocol Buffers, whose
fields each say how long they are. Field numbers are those of `ModelProto` in onnx.proto.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from ssdreg_runtime.errors import ModelError

_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2

#: How a field's content is written: the wire types of Protocol Buffers.
_VARINT, _COUNTED = 0, 2
_FIXED = {1: 8, 5: 4}

#: More bytes than the longest varint, a number of 64 bits, has.
_LONGEST_VARINT = 10


def read_metadata(stream: BinaryIO, name: str) -> dict[str, str]:
    """Return the metadata of an ONNX file; raise ModelError when it is none, or truncated."""
    found, has_graph = {}, False
    try:
        for number, place, length in _fields(stream):
            has_graph = has_graph or number == _GRAPH
            if number == _METADATA:
                stream.seek(place)
                entry = _texts(stream.read(length))
                found[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{name} is no ONNX file, or it is truncated: fetch or export it again"
                         ) from error
    if not has_graph:
        raise ModelError(f"{name} is no ONNX file: it holds no graph; give one that "
                         f"`ssdreg export` wrote")
    return found


def _texts(content: bytes) -> dict[int, str]:
    """Return the fields of a message that are texts, by number."""
    return {number: content[place:place + length].decode("utf-8")
            for number, place, length in _fields(BytesIO(content))}


def _fields(stream: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Give number, place and length of each field; raise ValueError where there is none."""
    end = stream.seek(0, os.SEEK_END)
    place = stream.seek(0)
    while place < end:
        tag = _varint(stream)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            start, length = stream.tell(), 0
            _varint(stream)
            place = stream.tell()
        elif wire == _COUNTED or wire in _FIXED:
            length = _FIXED[wire] if wire in _FIXED else _varint(stream)
            start = stream.tell()
            place = start + length
        else:
            raise ValueError(f"there is no wire type {wire}")
        if number == 0 or place > end:
            raise ValueError(f"field {number} at {start} has {length} bytes, the file {end}")
        yield number, start, length
        stream.seek(place)


def _varint(stream: BinaryIO) -> int:
    """Read a number of 7 bits a byte, the lowest first."""
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = stream.read(1)
        if not byte:
            raise ValueError("the file ends in a number")
        value |= (byte[0] & 0x7F) << 7 * place
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")
