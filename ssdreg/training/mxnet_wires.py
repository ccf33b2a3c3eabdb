"""Gradients that MXNet's processes send in fewer bytes, as `TrainOptions.wire` says.

MXNet's own 2-bit compression is not used: it would compress all that goes through the store, of
which there can be one, and the sums that are fetched stay float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ssdreg.training.mxnet_processes import MXNetGroup
from ssdreg.training.ternary import STEP, Packing, chosen

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Where the greatest sum of the step before is put in float16. What is smaller by 2**-33 becomes 0;
#: what has grown by more than 64 is cut off.
_PEAK = 512.0
_LARGEST = 2.0**15
#: The powers of two that gradients may be multiplied by.
_LEAST_SHIFT, _GREATEST_SHIFT = -30, 60


class Wire(Protocol):
    """How gradients are summed over processes."""

    def sum(self, gradients: Mapping[str, mx.nd.NDArray]) -> None:
        """Write the sums over all processes to the gradients, the same in each."""


def wire_of(group: MXNetGroup, name: str) -> Wire | None:
    """Return how gradients are sent; None where MXNet's module sends them as they are."""
    if name == "float32":
        return None
    return HalfWire(group) if name == "float16" else TernaryWire(group)


class HalfWire:
    """Gradients as float16, in which the servers add up too; see `Wire`.

    Each array is multiplied by a power of two, which all processes find in the sum of the step
    before. The first step takes gradients as they are.
    """

    def __init__(self, group: MXNetGroup) -> None:
        self._group = group
        self._limit = _LARGEST / group.processes.count
        self._scales: dict[str, mx.nd.NDArray] = {}

    def sum(self, gradients: Mapping[str, mx.nd.NDArray]) -> None:
        """See `Wire.sum`. Nothing here waits for what is computed."""
        from ssdreg.mx import mx
        sent = {}
        for name, array in gradients.items():
            scale = self._scales.setdefault(name, mx.nd.ones((1,)))
            scaled = mx.nd.broadcast_mul(array.reshape(-1), scale)
            sent[name] = scaled.clip(-self._limit, self._limit).astype("float16")
            self._group.sum_array(name, sent[name])
        for name, array in gradients.items():
            total = mx.nd.broadcast_div(sent[name].astype("float32"), self._scales[name])
            array[:] = total.reshape(array.shape)
            peak = mx.nd.maximum(total.abs().max(), 1e-30)
            shift = mx.nd.log2(_PEAK / peak).floor().clip(_LEAST_SHIFT, _GREATEST_SHIFT)
            self._scales[name] = 2 ** shift


class TernaryWire:
    """Gradients as -1, 0 or 1 times a step of their array, the same for all; see `Wire`.

    What is not sent is kept, and added to the next gradients. It is lost when the training ends.
    """

    def __init__(self, group: MXNetGroup) -> None:
        self._group = group
        self._packing = Packing(group.processes.count)
        self._kept: dict[str, np.ndarray] = {}

    def sum(self, gradients: Mapping[str, mx.nd.NDArray]) -> None:
        """See `Wire.sum`."""
        from ssdreg.mx import mx
        values = {name: array.asnumpy().reshape(-1) for name, array in gradients.items()}
        squares = self._group.sum([float(np.square(value).mean()) for value in values.values()])
        steps = {name: STEP * math.sqrt(square / self._group.processes.count)
                 for name, square in zip(values, squares)}
        sent = {}
        for name, value in values.items():
            kept = self._kept.setdefault(name, np.zeros_like(value))
            packed = self._packing.pack(chosen(value, kept, steps[name]))
            sent[name] = mx.nd.array(packed, dtype="float64")
            self._group.sum_array(name, sent[name])
        for name, array in gradients.items():
            sums = self._packing.unpack(sent[name].asnumpy(), array.size)
            array[:] = (np.float32(steps[name]) * sums.astype(np.float32)).reshape(array.shape)
