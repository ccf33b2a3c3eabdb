"""An OpenVINO model's files (IR), checked before OpenVINO reads them, and its metadata.

There are two files: the network's description in XML, and the weights, which the description
refers to by offset and size.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np
from attrs import frozen

from ssdreg_runtime.backends.facts import PREFIX
from ssdreg_runtime.errors import ModelError
from ssdreg_runtime.system.xml_file import read_xml

#: Bound of the XML file, which has a few mebibytes; the weights are in the other file.
MAX_BYTES = 256 * 2**20

#: NumPy's type for each of OpenVINO's that holds fractions; bfloat16 is a float32's upper half.
_BFLOAT16 = "bf16"
_FRACTIONS = {"f32": "<f4", "f16": "<f2", "f64": "<f8", _BFLOAT16: "<u2"}
#: Bytes that are looked at in one go, so that they stay in the processor's cache.
_AT_ONCE = 2**18


@frozen
class _Constant:
    """Where the weights' file has a constant; bytes, and OpenVINO's name of its type."""

    name: str
    kind: str
    offset: int
    size: int


def read_metadata(file: Path) -> dict[str, str]:
    """Return the metadata of an OpenVINO model, values by key.

    Keys get the prefix that they have in an ONNX file and lack here. Raises ModelError for a file
    that is no such model, or is truncated, or that has parameters which are NaN or infinite.
    """
    weights = file.with_suffix(".bin")
    if not weights.is_file():
        raise ModelError(f"{weights} is not there, which holds the weights of {file}: keep both "
                         f"files together")
    try:
        net = read_xml(file, MAX_BYTES)
        constants = [_Constant(layer.get("name", ""), data.get("element_type", ""),
                               int(data.get("offset", 0)), int(data.get("size", 0)))
                     for layer in net.iterfind("layers/layer") for data in layer.iterfind("data")]
        if any(constant.offset < 0 or constant.size < 0 for constant in constants):
            raise ValueError("a constant lies in front of the file")
    except ValueError as error:
        raise ModelError(f"{file} is no model of OpenVINO, or it is truncated: fetch or write it "
                         f"again") from error
    if net.tag != "net" or not constants:
        raise ModelError(f"{file} is no model of OpenVINO: its XML describes no network")
    size = weights.stat().st_size
    needed = max(constant.offset + constant.size for constant in constants)
    if needed > size:
        raise ModelError(f"{weights} is truncated, or belongs to another file than {file}: it has "
                         f"{size} bytes of {needed}; fetch or write both again")
    broken = next(_not_finite(weights, constants), None)
    if broken is not None:
        raise ModelError(f"{broken!r} in {weights} is not finite: the file is damaged; fetch or "
                         f"export it again")
    # OpenVINO's own converter keeps the keys of an ONNX file as they are
    metadata = {info.tag: info.get("value", "") for info in net.iterfind("rt_info/framework/*")}
    metadata.update({f"{PREFIX}{info.tag}": info.get("value", "")
                     for info in net.iterfind("rt_info/ssdreg/*")})
    return metadata


def _not_finite(weights: Path, constants: list[_Constant]) -> Iterator[str]:
    """Yield the names of the constants that hold what is no finite number."""
    buffer = bytearray(_AT_ONCE)
    with weights.open("rb") as file:
        for constant in constants:
            if constant.kind in _FRACTIONS:
                file.seek(constant.offset)
                parts = _parts(file, constant.size, memoryview(buffer))
                if not all(_is_finite(part, constant.kind) for part in parts):
                    yield constant.name


def _parts(file: BufferedReader, size: int, buffer: memoryview) -> Iterator[memoryview]:
    """Read so many bytes into a buffer, and yield its filled part each time it is full."""
    while size > 0 and (count := file.readinto(buffer[:size])):
        yield buffer[:count]
        size -= count


def _is_finite(part: memoryview, kind: str) -> bool:
    dtype = np.dtype(_FRACTIONS[kind])
    values = np.frombuffer(part, dtype, len(part) // dtype.itemsize)
    # all bits of the exponent are set in what is none
    return bool(not ((values & 0x7F80) == 0x7F80).any() if kind == _BFLOAT16
                else np.isfinite(values).all())
