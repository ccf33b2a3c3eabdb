"""MXNet, ready to use: the only module here that imports it.

MXNet 1.9.1 is the last release, and two things around it moved on. NumPy 1.24 removed the
aliases ``np.bool``, ``np.int`` and friends that MXNet reads while it is imported, and Python 3.12
removed ``distutils``. Both are put back before the import. Its OpenMP runtime also starts half as
many threads as there are processors because it takes them for hyper-threads; the number of real
cores this process may use is set instead, unless the user chose one.

Everything else in ssdreg writes ``from ssdreg.mx import mx``, inside the function that needs it
where importing should stay cheap.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType

import numpy as np
from ssdreg_runtime.threads import VARIABLE, choose

from ssdreg.errors import DependencyError

#: The names NumPy 1.24 removed, with the builtins they always stood for.
NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "complex": complex,
                 "object": object, "str": str}


def check_numpy(version: str) -> None:
    """Raise DependencyError for NumPy 2, which took away more than aliases can give back."""
    if int(version.split(".")[0]) >= 2:
        raise DependencyError(f"MXNet 1.9.1 needs NumPy below 2, but NumPy {version} is "
                              f"installed: run `pip install 'numpy<2'`")


def restore_numpy_aliases() -> tuple[str, ...]:
    """Put back the aliases of builtins that NumPy removed; return the names put back."""
    # vars(), not hasattr(): NumPy 1.20 to 1.23 answer hasattr with a deprecation warning
    missing = tuple(name for name in NUMPY_ALIASES if name not in vars(np))
    for name in missing:
        setattr(np, name, NUMPY_ALIASES[name])
    return missing


def restore_distutils() -> bool:
    """Make ``import distutils`` work on Python 3.12 and later; return whether it was missing."""
    if importlib.util.find_spec("distutils") is not None:
        return False
    try:
        import setuptools  # noqa: F401  (importing it installs its own copy of distutils)
    except ImportError as error:
        raise DependencyError(
            "MXNet 1.9.1 imports distutils, which this Python no longer has: "
            "run `pip install setuptools`") from error
    return True


check_numpy(np.__version__)

#: What was restored or set before MXNet was imported, as `ssdreg env` shows it.
restored_aliases = restore_numpy_aliases()
restored_distutils = restore_distutils()
threads = choose(os.environ)
if threads.set_here:
    os.environ[VARIABLE] = str(threads.count)

#: Settings of MXNet that only silence or tame it; the user's own values win.
DEFAULTS = {
    # one line on standard error for every symbol bound, for nobody to read
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


__all__ = ["defaults_set", "mixed_precision", "mx", "restored_aliases", "restored_distutils",
           "threads"]
