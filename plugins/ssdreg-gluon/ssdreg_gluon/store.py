"""The zoos' weights: the files of their own loaders, and the names in them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.system.caches import Cache, home
from ssdreg_runtime.system.progress import waiting

from ssdreg.errors import WeightsError
from ssdreg_gluon.network import block, zoo_module
from ssdreg_gluon.zoo import ZOOS, digests

if TYPE_CHECKING:
    import numpy as np


def locate(weights: object, zoo: str, network: str) -> Path | None:
    """Return the file that the zoo's loader has stored, or None; fetches nothing."""
    return _model_cache().find(_file_name(zoo, network))


def stored(weights: object, file: str) -> Path | None:
    """Return a file of this name that a loader of Gluon's has stored, or None."""
    return _model_cache().find(file)


def fetch(weights: object, zoo: str, network: str) -> Path:
    """Let the zoo's own loader download the weights, and check their SHA-1.

    Raises WeightsError when it cannot.
    """
    zoo_module(zoo)
    store = import_module(f"{ZOOS[zoo].module}.model_store")
    folder = _model_cache().folder()
    file = folder / _file_name(zoo, network)
    try:
        # it prints its attempts on standard output, which is for results, and GluonCV's draws a bar
        # on standard error, terminal or not
        with waiting(f"fetching the weights of {network}") as lines, contextlib.redirect_stderr(
                sys.stderr if lines is None else io.StringIO()), contextlib.redirect_stdout(
                sys.stderr):
            return Path(store.get_model_file(network, root=str(folder)))
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors
        raise WeightsError(
            f"the loader of {ZOOS[zoo].module} cannot fetch the weights of {network} "
            f"({_reason(error)}); get them where there is a network, and put them at {file}"
        ) from error


def rename(arrays: Mapping[str, np.ndarray], zoo: str, network: str) -> dict[str, np.ndarray]:
    """Name a file's arrays as the network's symbol does.

    Gluon's files name a parameter by its path through the blocks (``features.0.weight``), and
    before version 1.3 by its name without the network's prefix.
    """
    network_block = block(zoo, network)
    if not any("." in name for name in arrays):
        return {network_block.prefix + name: array for name, array in arrays.items()}
    # the table that Gluon's load_parameters uses
    parameters = network_block._collect_params_with_prefix()
    return {parameters[name].name if name in parameters else name: array
            for name, array in arrays.items()}


def stored_file(zoo: str, network: str) -> Path:
    """Return the file in which the zoo's loader keeps a network's weights, below MXNET_HOME."""
    name = _file_name(zoo, network)
    return _model_cache().find(name) or _model_cache().default_path(name)


def _file_name(zoo: str, network: str) -> str:
    return f"{network}-{digests(ZOOS[zoo])[network][:8]}.params"


def _model_cache() -> Cache:
    """Return the folder in which MXNet keeps weights, or a temporary one without a home."""
    configured = Path(os.environ.get("MXNET_HOME") or "~/.mxnet")
    folder = None if configured.parts[:1] == ("~",) and home() is None else configured.expanduser()
    return Cache(folder and folder / "models", "MXNET_HOME", "mxnet/models")


def _reason(error: BaseException) -> str:
    """Return the innermost exception of a failed connection as text."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"
