"""Numbers of the whole batch, for operators that several processes compute a part each of.

Which nodes do is written among their settings, see `ssdreg_torch.whole_batch`; without that an
operator computes by itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from ssdreg.graph.attributes import Attributes

#: The setting of a node that is computed over the batches of so many processes.
PROCESSES = "__processes__"
#: The setting of a loss that is the same in so many processes, as one of sums over the batch is.
SHARERS = "__sharers__"


def processes(attrs: Attributes) -> int:
    """Return over how many processes a node is computed."""
    return attrs.integer(PROCESSES, 1)


def sharers(attrs: Attributes) -> int:
    """Return how many processes have the same loss, so that each has a part of it."""
    return attrs.integer(SHARERS, 1)


def total(value: Tensor, attrs: Attributes) -> Tensor:
    """Return the sum over the processes that a node is computed over, with its gradient."""
    if processes(attrs) == 1:
        return value
    return _Total.apply(value) if value.requires_grad else _summed(value)  # type: ignore[no-any-return]


def rows(value: Tensor, attrs: Attributes) -> Tensor:
    """Return the values of all processes as rows, with their gradient: (...) to (P, ...)."""
    count = processes(attrs)
    if count == 1:
        return value[None]
    rank = distributed.get_rank()
    return total(torch.stack([value if row == rank else torch.zeros_like(value)
                              for row in range(count)]), attrs)


class _Total(torch.autograd.Function):
    """The sum over all processes; what comes back to it is the sum of what comes back in each."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _summed(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    value = value.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(value)
    return value
