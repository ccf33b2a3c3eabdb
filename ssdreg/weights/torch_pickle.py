"""The pickle inside a PyTorch file, read as data: nothing is imported, nothing is called.

Python's own unpickler reads it, with what `pickle` documents for restricting it, `find_class` and
`persistent_load`: the few names that a dictionary of tensors is made of stand for functions of this
module, which build plain dictionaries, tuples, and `Tensor` values that say where their numbers
lie. Whatever else a file names is refused.

It is the unpickler in Python, and not the one in C, which cannot be bounded from outside: that one
hashes whatever a file puts for a key (a tuple of itself, 40 times over, takes for ever), and makes
room for a memo of the size that a file claims. Here these bounds hold:

- `MAX_BYTES` of one pickle, read or claimed for one value in it, and `MAX_LINE` of one line of
  text, so that no number has digits that take minutes to convert
- `MAX_STEPS`: each opcode is one, so that there are no more values than that, and so is each value
  that is copied from one to another
- the opcodes: those of `_PYTHONS` and `_OWN`; the other ways to make objects are not among them
- a dictionary's keys: texts and numbers
- depth: none is needed, because nothing here or behind it follows nested values to their end
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable, Sized
from typing import IO, Any

from attrs import field, frozen

from ssdreg.errors import WeightsError

#: A pickle holds names and shapes; a large network's has half a megabyte.
MAX_BYTES = 64 << 20

#: Names and numbers that are written as text.
MAX_LINE = 64 << 10

#: Steps that reading one pickle may take; a state dict needs about 40 a tensor.
MAX_STEPS = 2_000_000

#: Axes that an array of NumPy 1 may have.
MAX_AXES = 32

#: What PyTorch counts with.
LARGEST = 2**63 - 1


def _count(_: Any, attribute: Any, value: Any) -> None:
    # what it is instead is not shown: a small pickle can hold values that take for ever to print
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(f"a tensor's {attribute.name} holds no number from 0 to {LARGEST}")


def _counts(instance: Any, attribute: Any, values: Any) -> None:
    if not isinstance(values, tuple) or len(values) > MAX_AXES:
        raise ValueError(f"a tensor's {attribute.name} holds no {MAX_AXES} numbers or fewer")
    for value in values:
        _count(instance, attribute, value)


def _text(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"the {attribute.name} of a storage is no text")


@frozen
class Storage:
    """A row of numbers elsewhere in the file: its key there, their type, and how many."""

    key: str = field(validator=_text)
    kind: str
    numel: int = field(validator=_count)


@frozen
class Tensor:
    """A view of a storage; offset and strides are counted in numbers, not in bytes."""

    storage: Storage
    offset: int = field(validator=_count)
    shape: tuple[int, ...] = field(validator=_counts)
    strides: tuple[int, ...] = field(validator=_counts)

    @strides.validator
    def _one_for_each_axis(self, attribute: Any, strides: tuple[int, ...]) -> None:
        if len(strides) != len(self.shape):
            raise ValueError(f"a tensor of shape {self.shape} has the strides {strides}")


@frozen
class View:
    """A part of a storage, beginning `offset` numbers behind its start; old files have them."""

    storage: Storage
    offset: int = field(validator=_count)


@frozen
class Name:
    """Something of Python that the file names, such as ``torch.FloatStorage``; never imported."""

    text: str


@frozen
class Pickle:
    """What a pickle says: plain values and tensors, and every storage that it mentions, by key."""

    value: Any
    storages: dict[str, Storage]


#: The types of storages, and those types of numbers that a file may mention without using them.
STORAGES = {f"torch.{kind}Storage": kind for kind in (
    "Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")}
_MENTIONED = {f"torch.{kind}" for kind in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
    "bool")}


class _Dictionary(dict[Any, Any]):
    """A dictionary with plain keys: hashing tuples of tuples can take for ever."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, (str, int, float, bytes, type(None))):
            raise ValueError(f"a dictionary's key is a {type(key).__name__}")
        super().__setitem__(key, value)


def _tensor(where: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(where, View) or not isinstance(offset, int):
        raise ValueError("a tensor is made of something that is no storage")
    return Tensor(where.storage, where.offset + offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Any:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is made of something that is no tensor")
    return data


def _dictionary(pairs: Any = ()) -> _Dictionary:
    dictionary = _Dictionary()
    for key, value in pairs:
        dictionary[key] = value
    return dictionary


def _size(values: Any) -> tuple[Any, ...]:
    return tuple(values)


#: What a file may "call". These functions take the call's arguments and put plain values together.
_MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
}


def read_pickle(stream: IO[bytes]) -> Pickle:
    """Read the pickle that begins where `stream` stands; leave the stream behind its end.

    Raises WeightsError that names what is refused, or says what is damaged.
    """
    reader = _Reader(stream)
    try:
        value = reader.load()
    except WeightsError:
        raise
    # what the unpickler raises where a pickle ends early or fills what it cannot, and attrs
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError, LookupError, EOFError,
            OverflowError, MemoryError, struct.error) as error:
        # attrs puts more than the sentence into its errors
        reason = error.args[0] if error.args else type(error).__name__
        raise WeightsError(f"its pickle is damaged: {reason}") from error
    return Pickle(value, reader.storages)


class _Bounded:
    """What the unpickler reads from: a stream of which no more than `MAX_BYTES` are taken."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, MAX_BYTES

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"it is longer than {MAX_BYTES >> 20} MiB, or says so")
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("it ends early")
        return data

    def readline(self) -> bytes:
        line = self._stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise EOFError(f"it ends early, or has a line of more than {MAX_LINE:,} bytes")
        return line


class _Reader(pickle._Unpickler):
    """Python's unpickler, without the steps by which a file could run code."""

    # of the unpickler, and not in its annotations
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(_Bounded(stream), encoding="latin-1")
        self.storages: dict[str, Storage] = {}
        self.spent = 0

    def spend(self, steps: int) -> None:
        """Count steps, so that a small file cannot cause endless work."""
        self.spent += steps
        if self.spent > MAX_STEPS:
            raise WeightsError(f"its pickle takes more than {MAX_STEPS:,} steps to read")

    def find_class(self, module: str, name: str) -> Name:
        """Return a name that is known, without importing anything."""
        text = f"{module}.{name}"
        if text not in STORAGES and text not in _MENTIONED and text not in _MAKERS:
            raise WeightsError(
                f"it names {text!r}, which is no part of a dictionary of tensors; it was refused, "
                f"and nothing in it was executed. If you trust where it comes from, load it with "
                f"PyTorch and save its state_dict() alone")
        return Name(text)

    def persistent_load(self, pid: Any) -> View:
        """Return a storage for ``("storage", type, key, device, numel[, (key, offset, numel)])``.
        """
        tag, name, key, _, numel, *view = pid
        if tag != "storage" or not isinstance(name, Name) or name.text not in STORAGES:
            raise ValueError("it refers to something outside that is no storage of numbers")
        storage = Storage(key, STORAGES[name.text], numel)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"it describes the storage {key} in two ways")
        return View(storage, view[0][1] if view and view[0] is not None else 0)

    def call(self) -> None:
        """Take arguments and a name, and push the value that `_MAKERS` makes of them."""
        arguments, name = self.stack.pop(), self.stack[-1]
        if not (isinstance(name, Name) and name.text in _MAKERS and isinstance(arguments, tuple)):
            raise WeightsError(f"it calls {getattr(name, 'text', type(name).__name__)!r}, which "
                               f"makes no tensor; it was refused, and nothing in it was executed")
        self.spend(sum(len(argument) for argument in arguments if isinstance(argument, Sized)))
        self.stack[-1] = _MAKERS[name.text](*arguments)

    def drop_state(self) -> None:
        """Drop an object's attributes: of a state dict, PyTorch's version numbers of its modules.
        """
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it fills something that is no dict")

    def make_dictionary(self) -> None:
        """Put a dictionary of all above the last mark, as the oldest pickles make one."""
        values = self.pop_mark()
        if len(values) % 2:
            raise ValueError("a dictionary has a key without a value")
        self.append(_dictionary(zip(values[::2], values[1::2])))


class _Steps(dict[int, Callable[[Any], None]]):
    """What to do by opcode; one that is missing is refused."""

    def __missing__(self, code: int) -> Callable[[Any], None]:
        names = [opcode.name for opcode in pickletools.opcodes if ord(opcode.code) == code]
        raise WeightsError(f"its pickle uses {names[0] if names else f'an opcode {code:#04x}'}, "
                           f"which a dictionary of tensors does not need; it was refused, and "
                           f"nothing in it was executed")


def _counted(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def counted(reader: _Reader) -> None:
        reader.spend(1)
        step(reader)
    return counted


#: The opcodes that such a dictionary needs, and what is done here instead of Python's own.
_PYTHONS = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4
    FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 STRING BINSTRING
    SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_LIST LIST APPEND APPENDS SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL BINPERSID"""
_OWN: dict[str, Callable[[_Reader], None]] = {
    "REDUCE": _Reader.call, "BUILD": _Reader.drop_state, "DICT": _Reader.make_dictionary,
    "EMPTY_DICT": lambda reader: reader.append(_Dictionary())}

_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_Reader.dispatch = _Steps({
    **{_CODES[name]: _counted(pickle._Unpickler.dispatch[_CODES[name]])
       for name in _PYTHONS.split()},
    **{_CODES[name]: _counted(step) for name, step in _OWN.items()}})
