"""MXNet, ready to use: the only module here that imports it.

MXNet 1.9.1 is the last release, and Python and NumPy moved on: its modules are given what they
miss there (`ssdreg.compat.mxnet_modules`), and nobody else is. Its OpenMP runtime also starts half
as many threads as there are processors because it takes them for hyper-threads; the number of real
cores this process may use is set instead, unless the user chose one.

Everything else in ssdreg writes ``from ssdreg.mx import mx``, inside the function that needs it
where importing should stay cheap. Where MXNet is not installed, that raises DependencyError.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

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


__all__ = ["defaults_set", "mixed_precision", "mx", "threads"]
