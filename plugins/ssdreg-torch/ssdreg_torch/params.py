"""Parameters of MXNet as tensors, and back, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ssdreg.mx import mx
    from ssdreg.runs.params import Params
    from ssdreg_torch.module import SymbolModule


def read(params: Params) -> dict[str, torch.Tensor]:
    """Return copies of all parameters and running moments by name, on the processor."""
    return {name: torch.from_numpy(array.asnumpy().copy())
            for part in (params.args, params.auxs) for name, array in part.items()}


def write(module: SymbolModule) -> Params:
    """Return copies of a module's parameters and running moments as MXNet's arrays."""
    return joined(module.arguments(), module.moments())


def joined(arguments: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor]) -> Params:
    """Return copies of named parameters and running moments as MXNet's arrays."""
    from ssdreg.runs.params import Params
    return Params(*({name: array(tensor) for name, tensor in tensors.items()}
                    for tensors in (arguments, moments)))


def array(tensor: torch.Tensor) -> mx.nd.NDArray:
    """Return a copy of a tensor as MXNet's array."""
    from ssdreg.mx import mx
    values = tensor.detach().cpu().numpy()
    return mx.nd.array(values, dtype=values.dtype)
