"""Parameters drawn by a rule, for networks whose weights do not matter: measuring and comparing.

The values of a parameter depend on its name and shape alone, so that the same network gets the
same ones everywhere. Scales stay below 1 and weights are divided by what they sum over, so that
no activation grows out of bounds however deep the network is.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from ssdreg.runs.params import Params

if TYPE_CHECKING:
    from ssdreg.mx import mx


def values(name: str, shape: tuple[int, ...], salt: str = "") -> np.ndarray:
    """Return one parameter's values (float64), chosen by its name's ending."""
    rng = np.random.RandomState(zlib.crc32((salt + name).encode()))
    if name.endswith("gamma"):
        return rng.uniform(0.3, 0.7, shape)
    if name.endswith(("moving_var", "running_var")):  # MXNet's symbols, Gluon's blocks
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith(("beta", "bias", "moving_mean", "running_mean")):
        return rng.normal(0, 0.1, shape)
    if name.endswith("scale"):
        return rng.uniform(15, 25, shape)
    return rng.normal(0, np.sqrt(1 / (np.prod(shape[1:]) or 1)), shape)


def random_params(symbol: mx.sym.Symbol, data_shape: tuple[int, int], salt: str = "") -> Params:
    """Return float32 parameters for a deploy symbol with the input ``data`` (B, 3, H, W)."""
    from ssdreg.mx import mx
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *data_shape))
    named = dict(zip(symbol.list_arguments(), shapes))
    del named["data"]
    running = dict(zip(symbol.list_auxiliary_states(), aux_shapes))
    args, auxs = ({name: mx.nd.array(values(name, shape, salt)) for name, shape in part.items()}
                  for part in (named, running))
    return Params(args, auxs)
