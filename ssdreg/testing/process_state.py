"""Side effects on the process: output, and changes of its global state."""

from __future__ import annotations

import contextlib
import ctypes
import locale
import logging
import os
import random
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from attrs import field, frozen

#: A seed and a precision that no plug-in would choose.
_SEED, _PRECISION = 20_130_613, 13

#: Warnings that Python hides by default.
_HIDDEN_WARNINGS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@frozen
class SideEffects:
    """The output, on standard output and error and as warnings, and the names of changed state."""

    printed: str
    touched: tuple[str, ...]


@frozen
class _Output:
    """Collects the captured output."""

    parts: list[str] = field(factory=list)


def watch(action: Callable[[], object]) -> SideEffects:
    """Call `action` and return its side effects: compare the process's state before and after.

    Output of Python and of native libraries is captured, and warnings as they would be printed.
    Random generators are seeded first, so that seeding them again shows; those of Python and NumPy
    get their state back afterwards. MXNet's cannot be read: it is left with a random seed.
    """
    output = _Output()
    with _captured(output), warnings.catch_warnings(record=True) as caught, _unusual_state():
        warnings.simplefilter("always")
        readers = _state_readers()
        undisturbed = _draw_after(lambda: None)
        before = {name: read() for name, read in readers.items()}
        disturbed = _draw_after(action)
        touched = [name for name, read in readers.items() if read() != before[name]]
    if disturbed != undisturbed:
        touched.append("MXNet's random state")
    warning_texts = [f"{warning.category.__name__}: {warning.message}" for warning in caught
                     if not issubclass(warning.category, _HIDDEN_WARNINGS)]
    return SideEffects("\n".join(filter(None, [*output.parts, *warning_texts])), tuple(touched))


@contextmanager
def _unusual_state() -> Iterator[None]:
    """Set the state that can be restored to unusual values for a while."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(_SEED)
    np.random.seed(_SEED)
    try:
        with np.printoptions(precision=_PRECISION):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _draw_after(action: Callable[[], object]) -> list[float]:
    """Seed MXNet's generator, call `action`, and draw (4,); without MXNet only call it."""
    if "mxnet" not in sys.modules:
        action()
        return []
    from ssdreg.mx import mx
    mx.random.seed(_SEED)
    try:
        action()
        return [float(value) for value in mx.random.uniform(shape=(4,)).asnumpy()]
    finally:
        mx.random.seed(int.from_bytes(os.urandom(4), "little") >> 1)


def _state_readers() -> dict[str, Callable[[], object]]:
    """Return the functions that read global state, by its name in messages."""
    readers: dict[str, Callable[[], object]] = {
        "the environment": lambda: dict(os.environ),
        "the working directory": Path.cwd,
        "sys.path": lambda: tuple(sys.path),
        "sys.stdout or sys.stderr": lambda: (id(sys.stdout), id(sys.stderr)),
        "the recursion limit": sys.getrecursionlimit,
        "warnings.filters": lambda: tuple(map(repr, warnings.filters)),
        "the random state": random.getstate,
        "NumPy's random state": _numpy_random,
        "NumPy's print options": lambda: repr(np.get_printoptions()),
        "NumPy's handling of errors": np.geterr,
        "the locale": lambda: locale.setlocale(locale.LC_ALL),
        "the handlers of signals": lambda: (signal.getsignal(signal.SIGINT),
                                            signal.getsignal(signal.SIGTERM)),
        "logging": lambda: (logging.root.level, tuple(logging.root.handlers), logging.root.disabled,
                            logging.root.manager.disable),
    }
    return {**readers, **(_mxnet_state_readers() if "mxnet" in sys.modules else {})}


def _mxnet_state_readers() -> dict[str, Callable[[], object]]:
    from ssdreg.mx import mx
    return {
        "MXNet's name manager": lambda: _name_managers(mx.name.NameManager.current),
        "MXNet's attribute scope": lambda: (id(mx.AttrScope.current),
                                            dict(mx.AttrScope.current._attr)),
        "MXNet's NumPy semantics": lambda: (mx.util.is_np_shape(), mx.util.is_np_array()),
        "MXNet's recording of gradients": lambda: (mx.autograd.is_recording(),
                                                   mx.autograd.is_training()),
        "MXNet's default device": lambda: str(mx.context.current_context()),
    }


def _name_managers(manager: object) -> tuple[int, list[dict[str, int]]]:
    """Return the id of the manager that names nodes, and the counters of those around it."""
    outer, counts = getattr(manager, "_old_manager", None), []
    while outer is not None:
        counts.append(dict(outer._counter))
        outer = outer._old_manager
    return id(manager), counts


def _numpy_random() -> object:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return kind, keys.tobytes(), *rest  # type: ignore[union-attr]


@contextmanager
def _captured(output: _Output) -> Iterator[None]:
    """Capture the output to Python's streams and to the file descriptors below them."""
    _flush()
    with tempfile.TemporaryFile() as file:
        with ExitStack() as undo:
            for descriptor in (1, 2):
                kept = os.dup(descriptor)
                undo.callback(os.close, kept)
                undo.callback(os.dup2, kept, descriptor)
                os.dup2(file.fileno(), descriptor)
            text = undo.enter_context(
                os.fdopen(os.dup(file.fileno()), "w", encoding="utf-8", errors="replace"))
            undo.enter_context(contextlib.redirect_stdout(text))
            undo.enter_context(contextlib.redirect_stderr(text))
            try:
                yield
            finally:
                _flush()
        file.seek(0)
        output.parts.append(file.read().decode("utf-8", "replace").strip())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ctypes.CDLL(None).fflush(None)
