"""The pickle inside a PyTorch file, read as data: nothing is imported, nothing is called.

Python's own unpickler calls what a file names. This one knows the few opcodes and names that a
dictionary of tensors is made of, builds plain dictionaries, lists and tuples, and `Tensor` values
that say where their numbers lie; whatever else a file names is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from typing import IO, Any

from attrs import field, frozen

from ssdreg.errors import WeightsError

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


def _tensor(where: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(where, View) or not isinstance(offset, int):
        raise ValueError("a tensor is made of something that is no storage")
    return Tensor(where.storage, where.offset + offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Any:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is made of something that is no tensor")
    return data


def _dictionary(pairs: Any = ()) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        found[_plain(key)] = value
    return found


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
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.spend(1)
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    # ValueError is also what pickletools raises where a pickle ends early
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        if isinstance(error, WeightsError):
            raise
        # attrs puts more than the sentence into its errors
        reason = error.args[0] if error.args else type(error).__name__
        raise WeightsError(f"its pickle is damaged: {reason}") from error
    return Pickle(value, machine.storages)


class _Machine:
    """The stack, the marks and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.spent = 0

    def spend(self, steps: int) -> None:
        """Count work, so that a small file cannot ask for an endless amount."""
        self.spent += steps
        if self.spent > MAX_STEPS:
            raise WeightsError(f"its pickle takes more than {MAX_STEPS:,} steps to read")

    def step(self, opcode: str, argument: Any) -> None:
        """Take one step: push a value, or do what the opcode's entry in `_STEPS` says."""
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in _IGNORED:
            raise WeightsError(f"its pickle uses {opcode}, which a dictionary of tensors does not "
                               f"need; it was refused, and nothing in it was executed")

    def pop(self) -> Any:
        """Take the topmost value; what lies below a mark cannot be reached."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes more values than it has put down")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """Take all values above the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def take(self, count: int) -> tuple[Any, ...]:
        """Take the topmost `count` values, in their order."""
        return tuple(self.pop() for _ in range(count))[::-1]

    def top(self, kind: type[Any]) -> Any:
        """Return the topmost value, which must be of this type."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]


def _mark(machine: _Machine, _: Any) -> None:
    machine.marks.append(len(machine.stack))


def _memoize(machine: _Machine, index: Any) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _recall(machine: _Machine, index: Any) -> None:
    machine.stack.append(machine.memo[index])


def _name(machine: _Machine, argument: Any) -> None:
    """Push a name that is known; `argument` is ``module name``, or both are on the stack."""
    module, name = machine.take(2) if argument is None else argument.split(" ", 1)
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("a name is no text")
    text = f"{module}.{name}"
    if text not in STORAGES and text not in _MENTIONED and text not in _MAKERS:
        raise WeightsError(
            f"it names {text!r}, which is no part of a dictionary of tensors; it was refused, and "
            f"nothing in it was executed. If you trust where it comes from, load it with PyTorch "
            f"and save its state_dict() alone")
    machine.stack.append(Name(text))


def _call(machine: _Machine, _: Any) -> None:
    name, arguments = machine.take(2)
    if not isinstance(name, Name) or name.text not in _MAKERS or not isinstance(arguments, tuple):
        raise WeightsError(f"it calls {getattr(name, 'text', type(name).__name__)!r}, which makes "
                           f"no tensor; it was refused, and nothing in it was executed")
    machine.spend(sum(len(each) for each in arguments if isinstance(each, (list, tuple))))
    machine.stack.append(_MAKERS[name.text](*arguments))


def _storage(machine: _Machine, _: Any) -> None:
    """Push a storage from ``("storage", type, key, device, numel[, (key, offset, numel)])``."""
    tag, name, key, _, numel, *view = machine.pop()
    if tag != "storage" or not isinstance(name, Name) or name.text not in STORAGES:
        raise ValueError("it refers to something outside that is no storage of numbers")
    storage = Storage(key, STORAGES[name.text], numel)
    if machine.storages.setdefault(key, storage) != storage:
        raise ValueError(f"it describes the storage {key} in two ways")
    machine.stack.append(View(storage, view[0][1] if view and view[0] is not None else 0))


def _extend(machine: _Machine, values: Iterable[Any]) -> None:
    machine.top(list).extend(values)


def _fill(machine: _Machine, pairs: list[Any]) -> None:
    if len(pairs) % 2:
        raise ValueError("a dictionary has a key without a value")
    machine.top(dict).update(
        (_plain(key), value) for key, value in zip(pairs[::2], pairs[1::2]))


def _filled(machine: _Machine, _: Any) -> None:
    """Push a new dictionary with all above the last mark, as the oldest pickles make one."""
    pairs = machine.since_mark()
    machine.stack.append({})
    _fill(machine, pairs)


def _plain(key: Any) -> Any:
    """Refuse what is no plain key: hashing tuples of tuples can take for ever."""
    if not isinstance(key, (str, int, float, bytes, type(None))):
        raise ValueError(f"a dictionary's key is a {type(key).__name__}")
    return key


def _set_state(machine: _Machine, _: Any) -> None:
    """Drop an object's attributes: of a state dict, PyTorch's version numbers of its modules."""
    machine.pop()
    machine.top(dict)


#: Opcodes that push their own argument, and those that always push the same.
_VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _mark,
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.take(3)),
    "DICT": _filled,
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "APPEND": lambda machine, _: _extend(machine, machine.take(1)),
    "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _fill(machine, list(machine.take(2))),
    "SETITEMS": lambda machine, _: _fill(machine, machine.since_mark()),
    "PUT": _memoize, "BINPUT": _memoize, "LONG_BINPUT": _memoize, "MEMOIZE": _memoize,
    "GET": _recall, "BINGET": _recall, "LONG_BINGET": _recall,
    "GLOBAL": _name, "STACK_GLOBAL": _name,
    "REDUCE": _call, "BUILD": _set_state, "BINPERSID": _storage,
}
