"""PyTorch as the engine that runs detectors."""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch

from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.errors import ModelError
from ssdreg.graph.nodes import Net
from ssdreg.registry.device import Device
from ssdreg_torch import params
from ssdreg_torch.detecting import detect
from ssdreg_torch.devices import running_precision, torch_device
from ssdreg_torch.errors import TranslationError
from ssdreg_torch.module import SymbolModule
from ssdreg_torch.precision import computing_in


def open_torch(model: DeployModel, device: Device, threads: int | None,
               precision: str) -> TorchBackend:
    """Return a detector that PyTorch runs; see `ssdreg.registry.engine.Engine`.

    `threads` are those of this process: PyTorch has one number for all. Raises ModelError for what
    has no translation, and for a precision that it has not.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchBackend(model, torch_device(device), precision)


class TorchBackend:
    """A detector computed by PyTorch: a `Backend` for any number of images at once."""

    name = "torch"

    def __init__(self, model: DeployModel, device: torch.device, precision: str) -> None:
        self.facts = facts_of(model)
        if self.facts.precision != "float32":
            raise ModelError(f"{model.name} was made for MXNet in {self.facts.precision}: use the "
                             f"backend mxnet, or give the run that it was made from")
        self.precision = running_precision(precision, model.name)
        try:
            module = SymbolModule(Net.of(model.symbol), params.read(model.params))
        except TranslationError as error:
            raise ModelError(str(error)) from error
        self._module = module.placed(device).eval()
        self._preprocessing, self._device = model.plan.preprocessing, device
        self._lock = Lock()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        batch = self._preprocessing.normalized(images)
        with self._lock, computing_in(self.precision, self._device):
            return detect(self._module, batch)
