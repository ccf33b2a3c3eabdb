"""The zoos' weights: where their own loaders keep them, and what they call them."""

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
from ssdreg_gluon.network import block, load
from ssdreg_gluon.zoo import ZOOS, digests

if TYPE_CHECKING:
    import numpy as np


def locate(weights: object, zoo: str, network: str) -> Path | None:
    """Return the file that the zoo's loader has stored, None if it has not; fetches nothing."""
    return _models().find(_name(zoo, network))


def fetch(weights: object, zoo: str, network: str) -> Path:
    """Let the zoo's own loader download the weights, and check their SHA-1.

    Raises WeightsError when it cannot.
    """
    load(zoo)
    store = import_module(f"{ZOOS[zoo].module}.model_store")
    folder = _models().folder()
    file = folder / _name(zoo, network)
    try:
        # it tells about its tries on standard output, which belongs to the command's result, and
        # GluonCV's moves a line on standard error whatever that is
        with waiting(f"fetching the weights of {network}") as telling, contextlib.redirect_stderr(
                sys.stderr if telling is None else io.StringIO()), contextlib.redirect_stdout(
                sys.stderr):
            return Path(store.get_model_file(network, root=str(folder)))
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors
        raise WeightsError(
            f"the loader of {ZOOS[zoo].module} cannot fetch the weights of {network} "
            f"({_reason(error)}); get them where there is a network, and put them at {file}"
        ) from error


def rename(arrays: Mapping[str, np.ndarray], zoo: str, network: str) -> dict[str, np.ndarray]:
    """Name a file's arrays as the network's symbol does.

    Gluon saves by the way to a parameter through the blocks (``features.0.weight``), and saved,
    before its version 1.3, by the parameter's name without the network's prefix.
    """
    net = block(zoo, network)
    if not any("." in name for name in arrays):
        return {net.prefix + name: array for name, array in arrays.items()}
    # what Gluon's own load_parameters looks names up in
    known = net._collect_params_with_prefix()
    return {known[name].name if name in known else name: array for name, array in arrays.items()}


def stored_file(zoo: str, network: str) -> Path:
    """Return where the zoo's loader keeps the weights of a network, as MXNET_HOME says."""
    name = _name(zoo, network)
    return _models().find(name) or _models().default_path(name)


def _name(zoo: str, network: str) -> str:
    return f"{network}-{digests(ZOOS[zoo])[network][:8]}.params"


def _models() -> Cache:
    """Return the folder that MXNet keeps weights in, or what stands for it without a home."""
    given = Path(os.environ.get("MXNET_HOME") or "~/.mxnet")
    base = None if given.parts[:1] == ("~",) and home() is None else given.expanduser()
    return Cache(base and base / "models", "MXNET_HOME", "mxnet/models")


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, in its own words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"
