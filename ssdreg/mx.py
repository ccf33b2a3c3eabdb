"""MXNet, ready to use: the only module here that imports it.

MXNet 1.9.1 is the last release, and Python and NumPy moved on: its modules are given what they
miss there (`ssdreg.compat.mxnet_modules`), and nobody else is. Its OpenMP runtime also starts half
as many threads as there are processors because it takes them for hyper-threads; the number of real
cores this process may use is set instead, unless the user chose one.

Everything else in ssdreg writes ``from ssdreg.mx import mx``, inside the function that needs it
where importing should stay cheap. Where MXNet is not installed, that raises DependencyError.
"""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ssdreg_runtime.system.names import native
from ssdreg_runtime.system.threads import VARIABLE, choose

from ssdreg.compat.mxnet_modules import serve
from ssdreg.compat.mxnet_package import require

require()
serve()

#: What was set before MXNet was imported, as `ssdreg env` shows it.
threads = choose(os.environ)
if threads.set_here:
    os.environ[VARIABLE] = str(threads.count)

#: Settings of MXNet that only silence or tame it; the user's own values win.
DEFAULTS = {
    # else one line on standard error for every symbol bound
    "MXNET_SUBGRAPH_VERBOSE": "0",
    # with several devices, keeps the optimizer in this process, where checkpoints find its state
    "MXNET_UPDATE_ON_KVSTORE": "0",
}
defaults_set = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
os.environ.update(defaults_set)

import mxnet as mx  # noqa: E402


def mixed_precision() -> ModuleType:
    """Import MXNet's conversion to bfloat16, which MXNet itself does not import."""
    return importlib.import_module("mxnet.contrib.amp")


def save_arrays(file: Path, arrays: Mapping[str, mx.nd.NDArray]) -> None:
    """Write arrays as ``mx.nd.save`` does; raise OSError where not all of it reaches the disk.

    On a full disk MXNet leaves a shorter file, and does not always say so.
    """
    with writing_by_mxnet(file):
        mx.nd.save(native(file), dict(arrays))
    # a header, then 24 bytes of an array, 8 of each axis, its values, and its name behind 8 bytes
    refuse_cut(file, 32 + sum(24 + 8 * array.ndim + array.size * array.dtype().itemsize
                              + 8 + len(name.encode()) for name, array in arrays.items()))


@contextmanager
def writing_by_mxnet(file: Path) -> Iterator[None]:
    """Turn MXNet's error in writing a file into the OSError that is its cause."""
    try:
        yield
    except mx.MXNetError:
        _write_more(file)
        raise


def refuse_cut(file: Path, size: int) -> None:
    """Raise OSError where a file that MXNet wrote has not all its bytes."""
    if file.stat().st_size != size:
        _write_more(file)
        raise OSError(errno.EIO, f"{file.stat().st_size:,} of {size:,} bytes were kept", str(file))


def _write_more(file: Path) -> None:
    """Write on behind a file, which raises what MXNet does not tell: why it could not."""
    with file.open("ab") as stream:
        stream.write(bytes(2**16))
        stream.flush()
        os.fsync(stream.fileno())


__all__ = ["defaults_set", "mixed_precision", "mx", "refuse_cut", "save_arrays", "threads",
           "writing_by_mxnet"]
