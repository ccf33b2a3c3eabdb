"""Files of weights by their extension, each read to a dictionary of NumPy arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssdreg.errors import RunError, WeightsError
from ssdreg.runs.arrays import MAX_BYTES, is_finite, refuse_not_finite
from ssdreg.runs.params import read_params
from ssdreg.weights.torch_file import read_torch

#: NumPy's type for each of safetensors'; bfloat16 is the upper half of a float32.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
          "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
          "BOOL": "?"}


def read_file(path: Path) -> dict[str, np.ndarray]:
    """Read a file of weights of any format in `READERS`: its arrays by name, in their own types.

    bfloat16, which NumPy lacks, becomes float32. Raises WeightsError, naming the file, for an
    extension that is not there, for a file that is damaged, and for one that holds numbers that are
    none, NaN or infinite.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(f"{path}: weights are read from files that end in "
                           f"{', '.join(READERS)}, not in {path.suffix or path.name!r}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise WeightsError(f"{path} has {size:,} bytes, and no file of weights has more than "
                           f"{MAX_BYTES:,}")
    arrays = reader(path)
    try:
        refuse_not_finite(path, [name for name, array in arrays.items()
                                 if array.dtype.kind == "f" and not is_finite(array)])
    except RunError as error:
        raise WeightsError(str(error)) from error
    return arrays


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file; raise WeightsError when it is damaged or has an unknown dtype."""
    from safetensors import SafetensorError, safe_open
    try:
        # holds the header against the file's size, and maps what it does not read into memory
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is no file of safetensors, or it is truncated: "
                           f"{error}") from error
    # its reader for NumPy lacks bfloat16, and the one that has it takes the file twice into memory
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        arrays = {}
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            if tensor["dtype"] not in DTYPES:
                raise WeightsError(f"{path}: {name!r} is of the type {tensor['dtype']}; known are "
                                   f"{', '.join(DTYPES)}")
            dtype = np.dtype(DTYPES[tensor["dtype"]])
            begin, end = tensor["data_offsets"]
            stream.seek(8 + length + begin)
            array = np.fromfile(stream, dtype, (end - begin) // dtype.itemsize)
            if tensor["dtype"] == "BF16":
                array = (array.astype(np.uint32) << 16).view(np.float32)
            arrays[name] = array.reshape(tensor["shape"])
    return arrays


def read_mxnet(path: Path) -> dict[str, np.ndarray]:
    """Read MXNet's ``.params``, with or without ``arg:`` and ``aux:`` in front of the names."""
    try:
        params = read_params(path)
    except RunError as error:
        raise WeightsError(str(error)) from error
    return {name: array.asnumpy() for name, array in {**params.args, **params.auxs}.items()}


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".safetensors": read_safetensors, ".params": read_mxnet,
    ".pth": read_torch, ".pt": read_torch, ".bin": read_torch}
