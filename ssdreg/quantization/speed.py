"""The latency of backends for one image, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from attrs import frozen
from ssdreg_runtime.backends import Backend

#: Warm-up turns, not counted: threads start, memory is taken, caches fill.
_WARM_UP = 5


@frozen
class Latency:
    """Milliseconds an image: the median, and the quartiles around it."""

    median: float
    lower: float
    upper: float


def measure_latency(backends: Mapping[str, Backend], image: np.ndarray,
                    rounds: int) -> dict[str, Latency]:
    """Run backends on an image (1, H, W, 3) uint8 in turns; return the latencies by name.

    In turns, because machines drift: what is measured one after the other is not comparable.
    """
    times: dict[str, list[float]] = {name: [] for name in backends}
    for number in range(_WARM_UP + rounds):
        for name, backend in backends.items():
            start = time.perf_counter()
            backend.run(image)
            if number >= _WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: _latency(taken) for name, taken in times.items()}


def _latency(times: list[float]) -> Latency:
    lower, median, upper = (float(value) for value in np.percentile(times, (25, 50, 75)))
    return Latency(median, lower, upper)
