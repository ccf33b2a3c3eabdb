"""PyTorch's files of weights (``.pth``, ``.pt``, ``.bin``), read without PyTorch.

There are two kinds, and published weights come in both: a zip archive (since PyTorch 1.6) with
the pickle ``data.pkl`` and a member for each storage, and before it a plain file: four pickles
(magic number, version, machine, the object), then the list of storages and their bytes.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from ssdreg.errors import WeightsError
from ssdreg.weights.torch_pickle import MAX_BYTES, Storage, Tensor, read_pickle

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001

#: Tensors may share numbers, but seldom do: a file whose tensors hold this many times what the
#: file holds is no model.
MAX_SHARING = 4

#: NumPy's type for each of PyTorch's; bfloat16 is the upper half of a float32.
DTYPES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4",
          "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}

#: Where a training script's checkpoint keeps the weights.
NESTED = ("state_dict", "model_state_dict", "model")

#: How deep they may lie; a dictionary can also lie in itself.
MAX_DEPTH = 4

#: What `DataParallel` puts in front of every name.
PARALLEL = "module."

#: Reads a storage's bytes, by its key and their number.
Reader = Callable[[str, int], bytes]

_ZIP_START = b"PK\x03\x04"
_PICKLE_START = b"\x80"


def read_torch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict, by name, in their order in the file.

    The weights may lie in the file itself or below `NESTED`, as training scripts save them; a
    ``module.`` in front of all names is taken off. Values that are no tensors are left out.
    Types are the file's; bfloat16, which NumPy lacks, becomes float32.

    Raises WeightsError, naming the file, when it is damaged, no file of PyTorch, without weights,
    or names anything but the parts of tensors: nothing in it is ever executed.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_ZIP_START))
            stream.seek(0)
            size = path.stat().st_size
            if start == _ZIP_START:
                return _read_archive(stream, size)
            if start.startswith(_PICKLE_START):
                return _read_plain(stream, size)
            raise WeightsError("it does not begin as PyTorch's files do")
    # what zipfile raises for archives that are damaged or encrypted, and NumPy for odd numbers
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError,
            struct.error, OverflowError, MemoryError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the file cannot be opened
        raise WeightsError(f"{path} cannot be read as weights of PyTorch: {error}") from error


def _read_archive(stream: IO[bytes], size: int) -> dict[str, np.ndarray]:
    """Read the archive that PyTorch writes since version 1.6; `size` is the file's in bytes."""
    with zipfile.ZipFile(stream) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.split("/", 1)[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise WeightsError("it is an archive without data.pkl, so PyTorch did not save it")
        prefix = pickles[0][:-len("data.pkl")]

        def member(name: str) -> zipfile.ZipInfo:
            info = members.get(prefix + name)
            if info is None:
                raise WeightsError(f"its part {name} is missing")
            # an archive that is compressed could unpack to any size
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise WeightsError(f"its part {name} is compressed, which PyTorch never does")
            return info

        def numbers(key: str, wanted: int) -> bytes:
            info = member(f"data/{key}")
            if info.file_size != wanted:
                raise WeightsError(f"its part data/{key} has {info.file_size} bytes instead of "
                                   f"{wanted}")
            return archive.read(info)

        if member("data.pkl").file_size > MAX_BYTES:
            raise WeightsError(f"its pickle is larger than {MAX_BYTES >> 20} MiB")
        big_endian = (prefix + "byteorder" in members
                      and archive.read(member("byteorder")).strip() == b"big")
        pickled = read_pickle(BytesIO(archive.read(member("data.pkl"))))
        return _arrays(_state_dict(pickled.value), ">" if big_endian else "<", size, numbers)


def _read_plain(stream: IO[bytes], size: int) -> dict[str, np.ndarray]:
    """Read the file that PyTorch wrote before version 1.6, and may still."""
    if read_pickle(stream).value != MAGIC_NUMBER:
        raise WeightsError("it does not begin as PyTorch's files do")
    version, machine = read_pickle(stream).value, read_pickle(stream).value
    if version != VERSION or not isinstance(machine, dict):
        raise WeightsError(f"its format has another version than {VERSION}")
    order = "<" if machine.get("little_endian", True) else ">"
    pickled = read_pickle(stream)
    tensors = _state_dict(pickled.value)
    places: dict[str, int] = {}
    keys = read_pickle(stream).value
    if not isinstance(keys, list):
        raise WeightsError("its list of storages is damaged")
    for key in keys:
        storage = pickled.storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise WeightsError("it lists a storage that no tensor uses")
        (numel,) = struct.unpack(f"{order}q", stream.read(8))
        if numel != storage.numel:
            raise WeightsError(f"its storage {key} has {numel} numbers instead of {storage.numel}")
        places[key] = stream.tell()
        stream.seek(numel * _itemsize(storage), os.SEEK_CUR)

    def numbers(key: str, wanted: int) -> bytes:
        if key not in places:
            raise WeightsError(f"its storage {key} is missing")
        stream.seek(places[key])
        content = stream.read(wanted)
        if len(content) != wanted:
            raise WeightsError(f"its storage {key} has {len(content)} bytes instead of {wanted}: "
                               f"the file is truncated")
        return content

    return _arrays(tensors, order, size, numbers)


def _state_dict(value: Any) -> dict[str, Tensor]:
    """Find the dictionary of tensors in what was saved."""
    for _ in range(MAX_DEPTH):
        if not isinstance(value, Mapping):
            break
        tensors = {name: entry for name, entry in value.items()
                   if isinstance(name, str) and isinstance(entry, Tensor)}
        if tensors:
            parallel = all(name.startswith(PARALLEL) for name in tensors)
            return {name[len(PARALLEL):] if parallel else name: tensor
                    for name, tensor in tensors.items()}
        inner = next((key for key in NESTED if key in value), None)
        if inner is None:
            shown = ", ".join(repr(key) for key in list(value)[:5]) or "nothing"
            raise WeightsError(f"it has no tensors by name, and no {' or '.join(NESTED)} that has "
                               f"them; it holds {shown}")
        value = value[inner]
    raise WeightsError("it holds no dictionary of tensors")


def _arrays(tensors: Mapping[str, Tensor], order: str, size: int,
            read: Reader) -> dict[str, np.ndarray]:
    """Read the storages and cut the tensors out of them; `size` bounds what they may hold."""
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    held = sum(map(_bytes, storages.values()))
    needed = sum(math.prod(tensor.shape) * _itemsize(tensor.storage) for tensor in tensors.values())
    if held > size or needed > MAX_SHARING * size:
        raise WeightsError(f"its tensors ask for {max(held, needed):,} bytes, but it has {size:,}: "
                           f"it is truncated, or made to fill the memory")
    parts: dict[str, list[str]] = {key: [] for key in storages}
    for name, tensor in tensors.items():
        parts[tensor.storage.key].append(name)
    arrays = {}
    # one storage after the other, so that the file is not in memory twice
    for key, names in parts.items():
        content = read(key, _bytes(storages[key]))
        arrays.update({name: _array(name, tensors[name], order, content) for name in names})
    return {name: arrays[name] for name in tensors}


def _array(name: str, tensor: Tensor, order: str, content: bytes) -> np.ndarray:
    """Cut one tensor out of its storage's bytes: a contiguous array of its own."""
    # not left to NumPy, whose own check of huge strides may overflow
    last = tensor.offset + sum((length - 1) * stride
                               for length, stride in zip(tensor.shape, tensor.strides))
    empty = 0 in tensor.shape
    if not empty and last >= tensor.storage.numel:
        raise WeightsError(f"its tensor {name!r} reaches beyond its storage")
    dtype = np.dtype(order + DTYPES[tensor.storage.kind])
    view = np.zeros(tensor.shape, dtype) if empty else np.ndarray(
        tensor.shape, dtype, content, tensor.offset * dtype.itemsize,
        [stride * dtype.itemsize for stride in tensor.strides])
    # native byte order, and a copy that may be written to
    array = np.array(view, dtype.newbyteorder("="), order="C")
    if tensor.storage.kind == "BFloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _itemsize(storage: Storage) -> int:
    return np.dtype(DTYPES[storage.kind]).itemsize


def _bytes(storage: Storage) -> int:
    return storage.numel * _itemsize(storage)
