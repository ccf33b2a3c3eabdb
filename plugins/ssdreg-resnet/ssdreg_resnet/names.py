"""PyTorch's names of parameters, turned into those of the symbols here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: What PyTorch calls a batch norm's parameters, and what MXNet does.
BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
              "running_var": "moving_var"}
#: A count of batches that batch norm keeps, and needs only to train without a momentum.
COUNTER = "num_batches_tracked"


def from_torch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the arrays of a state dict of torchvision or timm.

    Dots become underscores; a batch norm, which is what has a running mean, has MXNet's own names.
    """
    renamed = {}
    for name, array in arrays.items():
        module, _, parameter = name.rpartition(".")
        if parameter == COUNTER:
            continue
        if f"{module}.running_mean" in arrays:
            parameter = BATCH_NORM[parameter]
        renamed[f"{module.replace('.', '_')}_{parameter}"] = array
    return renamed
