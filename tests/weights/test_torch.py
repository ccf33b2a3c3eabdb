"""PyTorch's files, read without PyTorch: real ones, damaged ones, and those made to do harm."""

from __future__ import annotations

import importlib.util
import os
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pytest
from support import make_torch_files

from ssdreg.errors import WeightsError
from ssdreg.weights import torch_pickle
from ssdreg.weights.torch_file import MAGIC_NUMBER, VERSION, read_torch

ARCHIVE, PLAIN, TRAINING = (make_torch_files.ARCHIVE, make_torch_files.PLAIN,
                            make_torch_files.TRAINING)


def check(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable


# Real files

@pytest.mark.parametrize("file", [ARCHIVE, PLAIN], ids=["archive", "plain"])
def test_every_type_and_layout(file):
    check(read_torch(file), make_torch_files.expected())


def test_a_training_scripts_checkpoint():
    check(read_torch(TRAINING), make_torch_files.trained())


def test_pytorch_is_not_imported():
    if importlib.util.find_spec("torch") is not None:
        assert "torch" not in sys.modules
    read_torch(PLAIN)
    assert "torch" not in sys.modules


# Files made here, in the format of the plain file: the header, the object, the storages

def opcodes(value):
    """Pickle plain values; without the frame around, as a part of a larger pickle."""
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(numel=6, shape=(2, 3), strides=(3, 1), offset=0, key="0", kind=b"FloatStorage",
           view=None):
    storage = (b"(" + opcodes("storage") + b"ctorch\n" + kind + b"\n" + opcodes(key)
               + opcodes("cpu") + opcodes(numel) + opcodes(view) + b"tQ")
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + opcodes(offset) + opcodes(shape)
            + opcodes(strides) + opcodes(False) + b"ccollections\nOrderedDict\n)RtR")


def dictionary(name, value):
    return b"\x80\x02}" + opcodes(name) + value + b"s."


def plain(folder, pickled, keys=("0",), numbers=tuple(range(6)), order="<"):
    """Write a plain file with one storage of float32; return its path."""
    file = folder / "made.pth"
    header = b"".join(pickle.dumps(part, protocol=2) for part in (
        MAGIC_NUMBER, VERSION, {"little_endian": order == "<"}))
    storage = (np.array([len(numbers)], f"{order}i8").tobytes()
               + np.array(numbers, f"{order}f4").tobytes())
    file.write_bytes(header + pickled + pickle.dumps(list(keys), protocol=2) + storage)
    return file


def archive(folder, pickled, compression=zipfile.ZIP_STORED, **parts):
    """Write an archive with this pickle; return its path."""
    file = folder / "made.pth"
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("made/data.pkl", pickled)
        made.writestr("made/data/0", np.arange(6, dtype="<f4").tobytes())
        for name, content in parts.items():
            made.writestr(f"made/{name}", content)
    return file


BOTH = pytest.mark.parametrize("write", [plain, archive])


@BOTH
def test_what_is_made_here_is_read(tmp_path, write):
    found = read_torch(write(tmp_path, dictionary("w", tensor())))
    check(found, {"w": np.arange(6, dtype="float32").reshape(2, 3)})


def test_a_view_of_a_storage_as_old_files_have_them(tmp_path):
    made = tensor(shape=(2,), strides=(1,), offset=1, view=("99", 2, 4))
    assert read_torch(plain(tmp_path, dictionary("w", made)))["w"].tolist() == [3, 4]


def test_a_file_of_a_big_endian_machine(tmp_path):
    found = read_torch(plain(tmp_path, dictionary("w", tensor()), order=">"))
    check(found, {"w": np.arange(6, dtype="float32").reshape(2, 3)})


def refused(file, reason):
    with pytest.raises(WeightsError) as error:
        read_torch(file)
    text = str(error.value)
    assert text.startswith(f"{file} cannot be read as weights of PyTorch: ")
    assert reason in text
    return text


@BOTH
@pytest.mark.parametrize(("made", "reason"), [
    (tensor(shape=(2, 4), strides=(4, 1)), "its tensor 'w' reaches beyond its storage"),
    (tensor(offset=1), "its tensor 'w' reaches beyond its storage"),
    (tensor(shape=(5,), strides=(2**62,)), "its tensor 'w' reaches beyond its storage"),
    (tensor(offset=-1), "a tensor's offset holds no number from 0"),
    (tensor(strides=(-3, 1)), "a tensor's strides holds no number from 0"),
    (tensor(shape=(2**40,), strides=(0,)), "its tensors ask for 4,398,046,511,104 bytes"),
    (tensor(shape=(1,) * 33, strides=(1,) * 33), "tensor's shape holds no 32 numbers or fewer"),
    (tensor(shape=(6,)), "a tensor of shape (6,) has the strides (3, 1)"),
    (tensor(shape="ab", strides="ab"), "its pickle is damaged"),
    (tensor(key=0), "the key of a storage is no text"),
    (tensor(kind=b"ComplexFloatStorage"), "it names 'torch.ComplexFloatStorage'"),
], ids=range(11))
def test_tensors_that_cannot_be(tmp_path, write, made, reason):
    refused(write(tmp_path, dictionary("w", made)), reason)


@BOTH
def test_a_storage_larger_than_the_file(tmp_path, write):
    huge = tensor(numel=2**50, shape=(1,), strides=(1,))
    text = refused(write(tmp_path, dictionary("w", huge)), "")
    assert "has 6 numbers instead of" in text or "its tensors ask for" in text


@BOTH
@pytest.mark.parametrize(("value", "reason"), [
    (b"K\x05", "it holds no dictionary of tensors"),
    (opcodes({"epoch": 3, "args": None}), "it has no tensors by name, and no state_dict or model_"
                                          "state_dict or model that has them; it holds 'epoch', "),
    (opcodes({"state_dict": {}}), "it holds nothing"),
    (opcodes({"model": {"model": {"model": 3}}}), "it holds no dictionary of tensors"),
    (b"((K\x01tK\x02d", "a dictionary's key is a tuple"),
    (b"", "its pickle is damaged"),
    (b"((((", "its pickle is damaged"),
    (b"}((K\x01u", "its pickle is damaged"),
    (b"h\x07", "its pickle is damaged"),
])
def test_pickles_without_weights(tmp_path, write, value, reason):
    refused(write(tmp_path, b"\x80\x02" + value + b"."), reason)


# Files made to do harm

class Harm:
    """Pickled, it becomes a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@BOTH
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("function", [os.system, eval, exec, __import__, getattr, open],
                         ids=lambda function: function.__name__)
def test_nothing_is_executed(tmp_path, write, protocol, function):
    trace = tmp_path / "trace"
    argument = {os.system: f"touch {trace}", open: str(trace), getattr: "x"}.get(
        function, f"__import__('os').system('touch {trace}')")
    arguments = (argument, "w") if function is open else (argument, "y") \
        if function is getattr else (argument,)
    for value in (Harm(function, *arguments), {"w": Harm(function, *arguments)},
                  [Harm(function, *arguments)]):
        text = refused(write(tmp_path, pickle.dumps(value, protocol=protocol)), "it names '")
        assert "it was refused, and nothing in it was executed" in text
    assert not trace.exists()


@BOTH
@pytest.mark.parametrize(("value", "reason"), [
    # what is allowed, called with what it should not be
    (b"ccollections\nOrderedDict\n(K\x05tR", "its pickle is damaged"),
    (b"ccollections\nOrderedDict\n(]K\x05atR", "its pickle is damaged"),
    (b"ctorch\nSize\n(K\x05tR", "its pickle is damaged"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "its pickle is damaged"),
    (b"ctorch._utils\n_rebuild_parameter\n(K\x01tR", "a parameter is made of something that is no"),
    (b"ctorch._utils\n_rebuild_tensor\n(K\x01K\x02)ttR", "its pickle is damaged"),
    # calls of what is no function, and of what only looks like one
    (b"K\x01)R", "it calls 'int'"),
    (b"ctorch\nFloatStorage\n)R", "it calls 'torch.FloatStorage'"),
    (b"ctorch\nfloat32\n)R", "it calls 'torch.float32'"),
    (b"ccollections\nOrderedDict.__init__\n)R", "it names 'collections.OrderedDict.__init__'"),
    (b"\x8c\x05torch\x8c\x09load.evil\x93", "it names 'torch.load.evil'"),
    # state put into what is no dictionary; other ways to make objects
    (b"ccollections\nOrderedDict\n}b", "it fills something that is no dict"),
    (b"ccollections\nOrderedDict\n)\x81", "its pickle uses NEWOBJ"),
    (b"(ios\nsystem\n", "its pickle uses INST"),
    (b"\x82\x01", "its pickle uses EXT1"),
    (b"P1\n", "its pickle uses PERSID"),
    (opcodes(("module", "x", "y", "z")) + b"Q", "its pickle is damaged"),
])
def test_what_is_allowed_is_no_way_in(tmp_path, write, value, reason):
    refused(write(tmp_path, b"\x80\x02" + value + b"."), reason)


def test_a_dictionarys_attributes_are_dropped(tmp_path):
    state = b"}" + opcodes("items") + b"K\x05sb"
    pickled = (b"\x80\x02ccollections\nOrderedDict\n)R" + opcodes("w") + tensor() + b"s" + state
               + b".")
    assert list(read_torch(plain(tmp_path, pickled))) == ["w"]


def test_a_dictionary_as_python_2_pickled_it(tmp_path):
    pairs = b"](](" + opcodes("w") + tensor() + b"ee"
    pickled = b"\x80\x02ccollections\nOrderedDict\n(" + pairs + b"tR."
    assert list(read_torch(plain(tmp_path, pickled))) == ["w"]


def test_work_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, "MAX_STEPS", 10_000)
    numbers = b"(" + b"K\x01" * 1000 + b"lq\x00"
    again = b"ctorch\nSize\n(h\x00tR" * 100  # copies a long list again and again
    refused(archive(tmp_path, b"\x80\x02" + numbers + again + b"."), "takes more than 10,000 steps")


#: A tuple of itself, 40 times over: two to the power of 40 values for whoever prints or hashes it.
NESTED = b"K\x01q\x00" + b"h\x00h\x00\x86q\x000"[:-1] * 40


@BOTH
@pytest.mark.parametrize("value", [
    b"}" + NESTED + b"K\x01s",
    NESTED + b"h\x00\x93",
    NESTED + b"Q",
    NESTED + b"ctorch\nSize\nh\x00R",
    b"ctorch._utils\n_rebuild_tensor\n(" + NESTED + b"h\x00h\x00h\x00h\x00tR",
    NESTED + b"".join((b"(", opcodes("storage"), b"ctorch\nFloatStorage\nq\x01h\x00h\x00h\x00tQ")),
])
def test_values_that_take_for_ever_are_neither_printed_nor_hashed(tmp_path, write, value):
    refused(write(tmp_path, b"\x80\x02" + value + b"."), "")


@BOTH
def test_a_dictionary_in_itself(tmp_path, write):
    refused(write(tmp_path, b"\x80\x02}q\x00" + opcodes("model").replace(b"q\x00", b"")
                  + b"h\x00s."), "it holds no dictionary of tensors")


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\0\0\0\0\0\0\0\x10"])
def test_a_length_that_would_fill_the_memory(tmp_path, size):
    refused(plain(tmp_path, b"\x80\x02\x8e" + size), "its pickle is damaged")
    refused(archive(tmp_path, b"\x80\x02\x8e" + size), "its pickle is damaged")


@BOTH
@pytest.mark.parametrize(("value", "reason"), [
    # a memo with room for four thousand million values
    (b"K\x01r\xff\xff\xff\xff", "it holds no dictionary of tensors"),
    (b"I" + b"1" * 100_000 + b"\n", "it ends early, or has a line of more than 65,536 bytes"),
    (b"\x95" + b"\xff" * 7 + b"\x7f", "it is longer than 64 MiB, or says so"),
    (b"B\xff\xff\xff\xff", "it is longer than 64 MiB, or says so"),
    (b"\xfe", "its pickle uses an opcode 0xfe, which a dictionary of tensors does not need"),
])
def test_what_a_few_bytes_claim_is_bounded(tmp_path, write, value, reason):
    refused(write(tmp_path, b"\x80\x02" + value + b"."), reason)


def test_a_long_text_is_not_taken_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, "MAX_STEPS", 10_000)
    text = opcodes("a" * 20_000)
    refused(archive(tmp_path, b"\x80\x02ctorch\nSize\n(" + text + b"tR."),
            "takes more than 10,000 steps")


def test_a_compressed_archive(tmp_path):
    file = archive(tmp_path, dictionary("w", tensor()), zipfile.ZIP_DEFLATED,
                   zeros=b"\0" * 1_000_000)
    refused(file, "its part data.pkl is compressed, which PyTorch never does")


def test_names_in_an_archive_are_no_paths(tmp_path):
    (tmp_path / "0").write_bytes(b"\0" * 24)
    for key in ("../0", "../../0", str(tmp_path / "0"), "0\0"):
        refused(archive(tmp_path, dictionary("w", tensor(key=key))), f"its part data/{key} is mis")


# Damaged files

@pytest.mark.parametrize("file", [ARCHIVE, PLAIN], ids=["archive", "plain"])
def test_truncated_anywhere(tmp_path, file):
    whole = file.read_bytes()
    cut = tmp_path / file.name
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        refused(cut, "")


@pytest.mark.parametrize("file", [ARCHIVE, PLAIN], ids=["archive", "plain"])
def test_damaged_anywhere(tmp_path, file):
    """One byte is another: the numbers differ, or there is a sentence, and never anything else."""
    whole = bytearray(file.read_bytes())
    damaged, complaints = tmp_path / file.name, 0
    generator = np.random.RandomState(5)
    for place in range(0, len(whole), 3):
        changed = whole.copy()
        changed[place] ^= int(generator.randint(1, 256))
        damaged.write_bytes(changed)
        try:
            found = read_torch(damaged)
        except WeightsError:
            complaints += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in found.values())
    assert complaints > 100


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "it does not begin as PyTorch's files do"),
    (b"<!DOCTYPE html>", "it does not begin as PyTorch's files do"),
    (b"\x80\x02K\x05.", "it does not begin as PyTorch's files do"),
    (pickle.dumps(MAGIC_NUMBER, 2) + pickle.dumps(1002, 2) + pickle.dumps({}, 2),
     "its format has another version than 1001"),
    (b"PK\x03\x04 and no more", "File is not a zip file"),
])
def test_foreign_files(tmp_path, content, reason):
    file = tmp_path / "foreign.pth"
    file.write_bytes(content)
    refused(file, reason)


def test_an_archive_of_something_else(tmp_path):
    file = tmp_path / "other.pt"
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("readme.txt", "hello")
    refused(file, "it is an archive without data.pkl, so PyTorch did not save it")


def test_storages_that_do_not_agree(tmp_path):
    file = plain(tmp_path, dictionary("w", tensor()), keys=("1",))
    refused(file, "it lists a storage that no tensor uses")
    refused(plain(tmp_path, dictionary("w", tensor()), keys=()), "its storage 0 is missing")
    refused(plain(tmp_path, dictionary("w", tensor()), numbers=(1, 2)),
            "its storage 0 has 2 numbers instead of 6")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch(tmp_path / "missing.pth")
    shutil.copy(PLAIN, tmp_path / "missing.pth")
    assert read_torch(str(tmp_path / "missing.pth"))
