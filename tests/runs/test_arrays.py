"""Files of parameters and weights: held against their size before anything is allocated."""

from __future__ import annotations

import contextlib
import json
import resource
import struct
from pathlib import Path

import numpy as np
import pytest

import ssdreg
from ssdreg.mx import mx
from ssdreg.runs.arrays import read_arrays, read_headers
from ssdreg.weights.formats import read_file

#: Where the first axis of the first array lies: behind the list's magic number, its second word,
#: the count, the array's magic number, its storage, and its number of axes.
FIRST_AXIS = 8 + 8 + 8 + 4 + 4 + 4


@pytest.fixture
def bounded():
    """Fail where memory is taken that is not there: MXNet allocates before it looks."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net-0001.params"
    mx.nd.save(str(path), {"arg:a": mx.nd.ones((3, 4)), "aux:b": mx.nd.zeros((5,))})
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8",
                                   "int64"])
def test_arrays_of_every_type(tmp_path, dtype):
    mx.nd.save(str(tmp_path / "a.params"), {"a": mx.nd.ones((2, 3), dtype=dtype)})
    array = read_arrays(tmp_path / "a.params")["a"]
    assert array.dtype == np.dtype(dtype)
    assert array.asnumpy().tolist() == [[1] * 3] * 2


def test_bfloat16(tmp_path):
    for value, finite in ((1.5, True), (np.inf, False)):
        mx.nd.save(str(tmp_path / "a.params"),
                   {"a": mx.nd.amp_cast(mx.nd.full((2,), value), dtype="bfloat16")})
        assert read_headers(tmp_path / "a.params")["a"].finite == finite


def test_files_of_the_oldest_versions(tmp_path):
    values = struct.pack("<2f", 1, 2)
    for header in (struct.pack("<II", 1, 2), struct.pack("<IIq", 0xF993FAC8, 1, 2)):
        array = header + struct.pack("<iii", 1, 0, 0) + values
        (tmp_path / "old.params").write_bytes(
            struct.pack("<QQQ", 0x112, 0, 1) + array + struct.pack("<QQ", 1, 1) + b"a")
        assert read_arrays(tmp_path / "old.params")["a"].asnumpy().tolist() == [1, 2]


def test_one_changed_byte_takes_no_memory(file, bounded):
    content = bytearray(file.read_bytes())
    for place in range(FIRST_AXIS, FIRST_AXIS + 8):
        changed = content.copy()
        changed[place] ^= 0x10
        file.write_bytes(changed)
        with pytest.raises(ssdreg.RunError, match="is no parameter file of MXNet"):
            read_arrays(file)


def test_every_byte_of_the_headers_is_held_against_the_file(file):
    content = file.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x40
        file.write_bytes(changed)
        with contextlib.suppress(ssdreg.RunError):
            read_arrays(file)


@pytest.mark.parametrize(("change", "says"), [
    (lambda content: content[:-1], "ends inside of its names"),
    (lambda content: content[:40], "ends inside of an array's header"),
    (lambda content: content[:68], "12 numbers, and 4 bytes are left"),
    (lambda content: content + b"\0", "1 bytes follow its end"),
    (lambda content: content.replace(b"aux:b", b"arg:a"), "holds 'arg:a' twice"),
    (lambda content: content.replace(b"aux:b", b"aux:\xff"), "a name in it is no text"),
    (lambda content: content.replace(b"aux:b", b"aux:\0"), "a name in it holds a zero byte"),
    (lambda content: b"", "does not begin as such files do"),
])
def test_a_damaged_file_is_refused_with_the_place(file, change, says):
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ssdreg.RunError, match=says):
        read_arrays(file)


def test_numbers_that_are_none_are_refused_by_name(tmp_path):
    values = mx.nd.array([1, np.nan])
    mx.nd.save(str(tmp_path / "a.params"), {"arg:a": mx.nd.ones(2), "arg:b": values,
                                            "aux:c": values})
    with pytest.raises(ssdreg.RunError, match=r"'arg:b' in .*a\.params is not a.*nor are 1"):
        read_arrays(tmp_path / "a.params")
    # of the float32 that a detector takes
    mx.nd.save(str(tmp_path / "a.params"), {"b": mx.nd.array([1e300], dtype="float64")})
    with pytest.raises(ssdreg.RunError, match=r"'b' in .* is not finite"):
        read_arrays(tmp_path / "a.params")


def safetensors(header, content=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


@pytest.mark.parametrize(("content", "says"), [
    (safetensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, b"1234"),
     "is no file of safetensors"),
    (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
                 struct.pack("<f", np.inf)), "'a' in .* is not finite"),
])
def test_safetensors_that_are_damaged(tmp_path, bounded, content, says):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ssdreg.WeightsError, match=says):
        read_file(tmp_path / "a.safetensors")


@pytest.mark.parametrize(("name", "size"), [("a.safetensors", 8 * 2**30), ("a.params", 8 * 2**30),
                                            ("a.pth", 8 * 2**30), ("a.safetensors", 3 * 2**30),
                                            ("a.pth", 3 * 2**30), ("a.params", 3 * 2**30)])
def test_a_file_of_nothing_but_zeros_takes_no_memory(tmp_path, name, size):
    with (tmp_path / name).open("wb") as file:
        file.truncate(size)
    with pytest.raises(ssdreg.WeightsError, match=r"no file of|is no \w+|cannot be"):
        read_file(tmp_path / name)
