"""The moving average of the parameters, which validates and detects in their place.

Parameters on their way jump around the place that they converge to; their mean over the last steps
lies nearer (Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ssdreg.runs.params import Params

#: So many times in its horizon the average takes in the parameters: more changes nothing that can
#: be measured, and reading them costs time.
SAMPLES = 8
#: Early in a training the horizon is this share of the steps done, so that what the parameters
#: were at the start is soon forgotten.
EARLY = 0.1


class Average:
    """The mean of the parameters over past steps, where one that is n steps old counts by
    ``exp(-n / horizon)``. Running moments are averaged likewise.

    `horizon` is in steps. It is a function of the steps alone, so that a resumed run averages as
    one that was not stopped.
    """

    def __init__(self, horizon: float) -> None:
        self._horizon = horizon
        self._every = max(1, int(horizon / SAMPLES))
        self._args: dict[str, np.ndarray] = {}
        self._auxs: dict[str, np.ndarray] = {}

    def begin(self, params: Params) -> None:
        """Start, or go on, from parameters."""
        self._args, self._auxs = _copies(params.args), _copies(params.auxs)

    def after(self, step: int, read: Callable[[], Params]) -> None:
        """Take in the parameters, if that is due after this step, counted from 1.

        `read` returns them.
        """
        if step % self._every:
            return
        share = -math.expm1(-self._every / max(1.0, min(self._horizon, EARLY * step)))
        params = read()
        for means, arrays in ((self._args, params.args), (self._auxs, params.auxs)):
            for name, array in arrays.items():
                means[name] += np.float32(share) * (array.asnumpy() - means[name])

    @property
    def params(self) -> Params:
        """The average, as copies."""
        from ssdreg.mx import mx
        return Params(*({name: mx.nd.array(mean) for name, mean in means.items()}
                        for means in (self._args, self._auxs)))


def _copies(arrays: Mapping[str, object]) -> dict[str, np.ndarray]:
    return {name: array.asnumpy().astype(np.float32)  # type: ignore[attr-defined]
            for name, array in arrays.items()}
