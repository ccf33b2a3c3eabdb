"""Parameters of MXNet as tensors, and back, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ssdreg.runs.params import Params
    from ssdreg_torch.module import SymbolModule


def read(params: Params) -> dict[str, torch.Tensor]:
    """Return copies of all parameters and running moments by name, on the processor."""
    return {name: torch.from_numpy(array.asnumpy().copy())
            for part in (params.args, params.auxs) for name, array in part.items()}


def write(module: SymbolModule) -> Params:
    """Return copies of a module's parameters and running moments as MXNet's arrays."""
    from ssdreg.mx import mx
    from ssdreg.runs.params import Params

    def arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, mx.nd.NDArray]:
        return {name: mx.nd.array(values, dtype=values.dtype) for name, values in (
            (name, tensor.detach().cpu().numpy()) for name, tensor in tensors.items())}
    return Params(arrays(module.arguments()), arrays(module.moments()))
