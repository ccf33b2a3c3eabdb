"""What belongs to the whole process: whether somebody printed anything, or touched its state."""

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

#: Numbers that no plug-in would choose.
_SEED, _PRECISION = 20_130_613, 13

#: Warnings that Python itself keeps from users.
_UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@frozen
class Seen:
    """What happened: `printed` to standard output or error, warnings included; `touched` state."""

    printed: str
    touched: tuple[str, ...]


@frozen
class _Written:
    """Collects what is written while it is looked at."""

    parts: list[str] = field(factory=list)


def watch(action: Callable[[], object]) -> Seen:
    """Do it, and look at the state of the process before and after.

    What is written is caught from Python and from libraries below it, and warnings as they would
    be shown. Random generators are seeded first, so that seeding them once more with the same
    number shows; those of Python and NumPy go on afterwards as if nothing had been. MXNet's
    cannot be read: it is left with a seed that nobody knows.
    """
    written = _Written()
    with _captured(written), warnings.catch_warnings(record=True) as caught, _odd_state():
        warnings.simplefilter("always")
        parts = _parts()
        undisturbed = _draw_after(lambda: None)
        before = {name: look() for name, look in parts.items()}
        disturbed = _draw_after(action)
        touched = [name for name, look in parts.items() if look() != before[name]]
    if disturbed != undisturbed:
        touched.append("MXNet's random state")
    shown = [f"{each.category.__name__}: {each.message}" for each in caught
             if not issubclass(each.category, _UNSEEN)]
    return Seen("\n".join(filter(None, [*written.parts, *shown])), tuple(touched))


@contextmanager
def _odd_state() -> Iterator[None]:
    """Bring what can be put back into a state that nobody else would choose."""
    kept, numpy_kept = random.getstate(), np.random.get_state()
    random.seed(_SEED)
    np.random.seed(_SEED)
    try:
        with np.printoptions(precision=_PRECISION):
            yield
    finally:
        random.setstate(kept)
        np.random.set_state(numpy_kept)


def _draw_after(action: Callable[[], object]) -> list[float]:
    """Seed MXNet's generator, do it, and draw; without MXNet only do it."""
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


def _parts() -> dict[str, Callable[[], object]]:
    """Return what is looked at, and how."""
    parts: dict[str, Callable[[], object]] = {
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
    return {**parts, **(_mxnet_parts() if "mxnet" in sys.modules else {})}


def _mxnet_parts() -> dict[str, Callable[[], object]]:
    from ssdreg.mx import mx
    return {
        "MXNet's name manager": lambda: _names(mx.name.NameManager.current),
        "MXNet's attribute scope": lambda: (id(mx.AttrScope.current),
                                            dict(mx.AttrScope.current._attr)),
        "MXNet's NumPy semantics": lambda: (mx.util.is_np_shape(), mx.util.is_np_array()),
        "MXNet's recording of gradients": lambda: (mx.autograd.is_recording(),
                                                   mx.autograd.is_training()),
        "MXNet's default device": lambda: str(mx.context.current_context()),
    }


def _names(manager: object) -> tuple[int, list[dict[str, int]]]:
    """Return which manager names nodes, and how far those outside of it have counted."""
    outer, counts = getattr(manager, "_old_manager", None), []
    while outer is not None:
        counts.append(dict(outer._counter))
        outer = outer._old_manager
    return id(manager), counts


def _numpy_random() -> object:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return kind, keys.tobytes(), *rest  # type: ignore[union-attr]


@contextmanager
def _captured(written: _Written) -> Iterator[None]:
    """Catch what is written to the streams of Python and to the descriptors below them."""
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
        written.parts.append(file.read().decode("utf-8", "replace").strip())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ctypes.CDLL(None).fflush(None)
