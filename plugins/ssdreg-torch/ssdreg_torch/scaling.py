"""Gradients of float16, scaled so that small ones are not 0, and the scale as it is saved.

A step whose gradients overflow is left out, with a smaller scale from then on: it counts neither
for the optimizer nor for its corrections, as in MXNet, though it is a step of the run. So the steps
that were taken are saved beside the scale, and a run goes on with both.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ssdreg_torch.optimizers import Optimizer

#: The name of the scale, its age in steps and the steps taken among the optimizer's arrays. Other
#: engines, which look for their parameters' names, pass it by.
SLOT = "__scale__.0"


class GradientScaler:
    """PyTorch's scaler where a network is computed in float16; else gradients stay as they are."""

    def __init__(self, device: str, precision: str) -> None:
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "float16")

    def scale(self, loss: Tensor) -> Tensor:
        """Return a loss whose gradients are scaled."""
        return self._scaler.scale(loss)

    def step(self, optimizer: Optimizer) -> None:
        """Take an optimizer's step with its gradients unscaled, unless one of them overflowed."""
        self._scaler.step(optimizer)
        self._scaler.update()

    def slots(self, optimizer: Optimizer) -> dict[str, Tensor]:
        """Return what is saved: nothing where nothing is scaled."""
        state = self._scaler.state_dict()
        if not state:
            return {}
        return {SLOT: torch.tensor([state["scale"], state["_growth_tracker"], optimizer.steps])}

    def set_slots(self, optimizer: Optimizer, slots: Mapping[str, Tensor]) -> None:
        """Go on from what was saved, if it was."""
        if SLOT not in slots or not self._scaler.is_enabled():
            return
        scale, tracker, steps = slots[SLOT].tolist()
        self._scaler.load_state_dict({**self._scaler.state_dict(), "scale": scale,
                                      "_growth_tracker": int(tracker)})
        optimizer.set_steps(int(steps))
