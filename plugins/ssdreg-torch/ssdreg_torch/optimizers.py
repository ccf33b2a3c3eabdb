"""SGD with momentum and Adam as MXNet computes them.

PyTorch's own differ: MXNet's momentum holds steps, the rate included, so that a new rate changes
only what is added from then on; and its Adam corrects the rate for the first steps, by which its
epsilon counts for less in them. Both give the weights less decay by name: see `groups`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ssdreg.graph.nodes import VARIABLE, Net
from ssdreg_torch.module import SymbolModule

#: The ends of the names of what decays.
DECAYS = ("_weight", "_gamma")


def groups(module: SymbolModule, net: Net) -> list[dict[str, Any]]:
    """Return a module's parameters that learn, by what MXNet multiplies their rate and decay with.

    The symbol's attributes ``__lr_mult__`` and ``__wd_mult__`` say so; without the latter, only
    weights and scales of normalisations decay, by the ends of their names.
    """
    attrs = {net.name(index): net.attrs(index) for index in net.find(VARIABLE)}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in module.arguments().items():
        if tensor.requires_grad:
            decay = attrs[name].number("__wd_mult__", float(name.endswith(DECAYS)))
            groups.setdefault((attrs[name].number("__lr_mult__", 1.0), decay), []).append(tensor)
    return [{"params": tensors, "lr_mult": rate, "wd_mult": decay}
            for (rate, decay), tensors in groups.items()]


class _Optimizer(torch.optim.Optimizer):
    """What both have in common: groups with multipliers, and a step over each group at once."""

    def __init__(self, parameters: Iterable[Any], **defaults: Any) -> None:
        super().__init__(parameters, {"lr_mult": 1.0, "wd_mult": 1.0, **defaults})

    def set_rate(self, rate: float) -> None:
        """Set the learning rate that the groups' multipliers apply to."""
        for group in self.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; return what a closure returns before that."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            if not tensors:
                continue
            gradients = torch._foreach_add([tensor.grad for tensor in tensors], tensors,
                                           alpha=group["wd"] * group["wd_mult"])
            self._update(group, group["lr"] * group["lr_mult"], tensors, list(gradients))
        return value

    def _slots(self, tensors: list[Tensor], name: str) -> list[Tensor]:
        """Return a state of each parameter, 0 before the first step."""
        for tensor in tensors:
            if name not in self.state[tensor]:
                self.state[tensor][name] = torch.zeros_like(tensor)
        return [self.state[tensor][name] for tensor in tensors]

    def _update(self, group: dict[str, Any], rate: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        raise NotImplementedError


class SGD(_Optimizer):
    """Gradient descent: ``m = momentum * m - rate * (gradient + decay * w)``, ``w = w + m``."""

    def __init__(self, parameters: Iterable[Any], lr: float, momentum: float = 0.9,
                 wd: float = 0.0) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, wd=wd)

    def _update(self, group: dict[str, Any], rate: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        momenta = self._slots(tensors, "momentum")
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, gradients, alpha=-rate)
        torch._foreach_add_(tensors, momenta)


class Adam(_Optimizer):
    """Adam: with t steps, ``w = w - rate * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) +
    epsilon)``, where m and v are the running means of gradient + decay * w and of its square."""

    def __init__(self, parameters: Iterable[Any], lr: float, wd: float = 0.0, beta1: float = 0.9,
                 beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        super().__init__(parameters, lr=lr, wd=wd, beta1=beta1, beta2=beta2, epsilon=epsilon,
                         steps=0)

    def _update(self, group: dict[str, Any], rate: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        group["steps"] += 1
        beta1, beta2, steps = group["beta1"], group["beta2"], group["steps"]
        means, squares = self._slots(tensors, "mean"), self._slots(tensors, "square")
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        divisors = torch._foreach_sqrt(squares)
        torch._foreach_add_(divisors, group["epsilon"])
        corrected = rate * math.sqrt(1 - beta2 ** steps) / (1 - beta1 ** steps)
        torch._foreach_addcdiv_(tensors, means, divisors, -corrected)
