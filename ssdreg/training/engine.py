"""What the training loop asks of the engine that computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ssdreg.runs.params import Params
from ssdreg.training.state import Sums

if TYPE_CHECKING:
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx


class Engine(Protocol):
    """A training symbol on its devices, with parameters and the state of their optimizer.

    It is made for one run: its symbol, its recipe and the shape of its batches stay the same.
    """

    def begin(self, start: Params | None) -> None:
        """Draw parameters at random by the recipe's seed, but for those that are given."""

    def restore(self, params: Params, optimizer: Mapping[str, mx.nd.NDArray], updates: int) -> None:
        """Go on from parameters, and from the optimizer's state after so many updates."""

    def step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        """Learn from a batch with a learning rate; return its losses and what counted."""

    def params(self) -> Params:
        """Return the parameters as they are after the last step, float32."""

    def optimizer(self) -> Mapping[str, mx.nd.NDArray]:
        """Return the optimizer's state: arrays called ``PARAMETER.SLOT``, slots counted from 0."""

    def detect(self, batches: DetectionIter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Detect with the parameters as they are; see `Inference.detect_all`."""
