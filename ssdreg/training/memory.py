"""What a bound training symbol takes of the memory, and the largest batch that fits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Arrays of a parameter's size that an optimizer keeps.
STATES = {"sgd": 1, "nag": 1, "adam": 2, "lamb": 2}
_MIB = 2**20


@frozen
class Need:
    """Bytes that a training takes: `fixed` ones, and some for every image of the batch."""

    fixed: float
    an_image: float

    @classmethod
    def between(cls, small: tuple[int, float], large: tuple[int, float]) -> Need:
        """Work it out from two batches, each with its number of images and its bytes."""
        an_image = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
        return cls(small[1] - small[0] * an_image, an_image)

    def largest_batch(self, memory: float, multiple: int = 1) -> int:
        """Return how many images fit into a memory, a multiple of some number; 0 where none do."""
        if not self.an_image:
            return 0
        return max(0, int((memory - self.fixed) / self.an_image)) // multiple * multiple


def planned(executor: mx.executor.Executor) -> float:
    """Return the bytes that MXNet has planned for what a symbol computes between its inputs
    and outputs."""
    return float(re.findall(r"Total (\d+) MB allocated", executor.debug_str())[-1]) * _MIB


def parameters(executor: mx.executor.Executor, states: int) -> float:
    """Return the bytes of the parameters, their gradients, and so many states of each."""
    learnt = sum(array.size for array in executor.grad_arrays if array is not None)
    whole = sum(array.size for array in (*executor.arg_arrays, *executor.aux_arrays))
    return 4.0 * (whole + (1 + states) * learnt)
