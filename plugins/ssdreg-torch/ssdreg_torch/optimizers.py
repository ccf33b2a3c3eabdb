"""SGD, Nesterov's, Adam and LAMB as MXNet computes them.

PyTorch's own differ: MXNet's momentum holds steps, the rate included, so that a new rate changes
only what is added from then on; and its Adam corrects the rate for the first steps, by which its
epsilon counts for less in them. All give the weights less decay by name: see `groups`. The state of
each is MXNet's, slot by slot, so that either goes on where the other stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ssdreg.graph.nodes import VARIABLE, Net
from ssdreg_torch.module import SymbolModule

if TYPE_CHECKING:
    from ssdreg.training.options import TrainOptions

#: The ends of the names of what decays.
DECAYS = ("_weight", "_gamma")


def groups(module: SymbolModule, net: Net, rates: Mapping[str, float] = MappingProxyType({})
           ) -> list[dict[str, Any]]:
    """Return a module's parameters that learn, by what MXNet multiplies their rate and decay with.

    `rates` say so of the rate by parameter, else the symbol's attribute ``__lr_mult__`` does, and
    ``__wd_mult__`` of the decay; without the latter, only weights and scales of normalisations
    decay, by the ends of their names.
    """
    attrs = {net.name(index): net.attrs(index) for index in net.find(VARIABLE)}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in module.arguments().items():
        if tensor.requires_grad:
            decay = attrs[name].number("__wd_mult__", float(name.endswith(DECAYS)))
            rate = rates.get(name, attrs[name].number("__lr_mult__", 1.0))
            groups.setdefault((rate, decay), []).append(tensor)
    return [{"params": tensors, "lr_mult": rate, "wd_mult": decay}
            for (rate, decay), tensors in groups.items()]


def make_optimizer(options: TrainOptions, parameters: list[dict[str, Any]]) -> Optimizer:
    """Return the optimizer of a recipe for parameters that learn; see `groups`."""
    settings = {"momentum": options.momentum} if options.optimizer in ("sgd", "nag") else {}
    return BY_NAME[options.optimizer](parameters, lr=options.lr, wd=options.wd, **settings)


class Optimizer(torch.optim.Optimizer):
    """What all have in common: groups with multipliers, and a step over each group at once."""

    #: The names of a parameter's states, in the order of MXNet's slots.
    SLOTS: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Any], **defaults: Any) -> None:
        super().__init__(parameters, {"lr_mult": 1.0, "wd_mult": 1.0, "steps": 0, **defaults})

    def set_rate(self, rate: float) -> None:
        """Set the learning rate that the groups' multipliers apply to."""
        for group in self.param_groups:
            group["lr"] = rate

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return max(group["steps"] for group in self.param_groups)

    def set_steps(self, steps: int) -> None:
        """Set how many steps were taken."""
        for group in self.param_groups:
            group["steps"] = steps

    def slots(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the states of named parameters, called ``PARAMETER.SLOT``.

        Those of a parameter that has had no gradient are 0, as they are before the first step.
        """
        return {f"{name}.{slot}": self.state[tensor].get(state, torch.zeros_like(tensor))
                for name, tensor in parameters.items()
                for slot, state in enumerate(self._kept())}

    def _kept(self) -> tuple[str, ...]:
        """Return the states that are kept with these settings."""
        return self.SLOTS

    def set_slots(self, parameters: Mapping[str, Tensor], steps: int,
                  slots: Mapping[str, Tensor]) -> None:
        """Go on from states of named parameters, called as `slots` returns them, after `steps`."""
        self.set_steps(steps)
        for name, tensor in parameters.items():
            for slot, state in enumerate(self.SLOTS):
                if f"{name}.{slot}" in slots:
                    # as the parameter lies in memory, on its device
                    self.state[tensor][state] = torch.empty_like(tensor).copy_(
                        slots[f"{name}.{slot}"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; return what a closure returns before that."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            group["steps"] += 1
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            if tensors:
                gradients = [tensor.grad for tensor in tensors]
                self._update(group, group["lr"] * group["lr_mult"], group["wd"] * group["wd_mult"],
                             tensors, gradients)
        return value

    def _states(self, tensors: list[Tensor], name: str) -> list[Tensor]:
        """Return a state of each parameter, 0 before the first step."""
        for tensor in tensors:
            if name not in self.state[tensor]:
                self.state[tensor][name] = torch.zeros_like(tensor)
        return [self.state[tensor][name] for tensor in tensors]

    def _update(self, group: dict[str, Any], rate: float, decay: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        raise NotImplementedError


def _decayed(gradients: list[Tensor], tensors: list[Tensor], decay: float) -> list[Tensor]:
    return list(torch._foreach_add(gradients, tensors, alpha=decay)) if decay else gradients


class SGD(Optimizer):
    """Gradient descent: ``m = momentum * m - rate * (gradient + decay * w)``, ``w = w + m``."""

    SLOTS = ("momentum",)

    def __init__(self, parameters: Iterable[Any], lr: float, momentum: float = 0.9,
                 wd: float = 0.0) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, wd=wd)

    def _update(self, group: dict[str, Any], rate: float, decay: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        decayed = _decayed(gradients, tensors, decay)
        if not group["momentum"]:  # MXNet keeps no state then
            torch._foreach_add_(tensors, decayed, alpha=-rate)
            return
        momenta = self._states(tensors, "momentum")
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, decayed, alpha=-rate)
        torch._foreach_add_(tensors, momenta)

    def _kept(self) -> tuple[str, ...]:
        return self.SLOTS if self.defaults["momentum"] else ()


class NAG(SGD):
    """Nesterov's: ``w = w + momentum * m - rate * (gradient + decay * w)``, with m as it will be.

    MXNet writes that m last, and takes the decay in it of the new w.
    """

    def _update(self, group: dict[str, Any], rate: float, decay: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        momentum = group["momentum"]
        if not momentum:
            super()._update(group, rate, decay, tensors, gradients)
            return
        momenta, decayed = self._states(tensors, "momentum"), _decayed(gradients, tensors, decay)
        torch._foreach_mul_(momenta, momentum)
        torch._foreach_add_(tensors, momenta, alpha=momentum)
        torch._foreach_add_(tensors, decayed, alpha=-rate * (1 + momentum))
        torch._foreach_add_(momenta, _decayed(gradients, tensors, decay), alpha=-rate)


class _Adaptive(Optimizer):
    """What Adam and LAMB have in common: running means of gradients and of their squares."""

    SLOTS = ("mean", "square")
    #: The least of what is divided by, MXNet's.
    EPSILON: float

    def __init__(self, parameters: Iterable[Any], lr: float, wd: float = 0.0, beta1: float = 0.9,
                 beta2: float = 0.999) -> None:
        super().__init__(parameters, lr=lr, wd=wd, beta1=beta1, beta2=beta2)

    def _moments(self, group: dict[str, Any], tensors: list[Tensor], gradients: list[Tensor]
                 ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the running means of gradients and of their squares, with these taken in."""
        means, squares = (self._states(tensors, name) for name in ("mean", "square"))
        torch._foreach_mul_(means, group["beta1"])
        torch._foreach_add_(means, gradients, alpha=1 - group["beta1"])
        torch._foreach_mul_(squares, group["beta2"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["beta2"])
        return means, squares


class Adam(_Adaptive):
    """Adam: with t steps, ``w = w - rate * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) +
    epsilon)``, where m and v are the running means of gradient + decay * w and of its square."""

    EPSILON = 1e-8

    def _update(self, group: dict[str, Any], rate: float, decay: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        means, squares = self._moments(group, tensors, _decayed(gradients, tensors, decay))
        divisors = torch._foreach_sqrt(squares)
        torch._foreach_add_(divisors, self.EPSILON)
        steps = group["steps"]
        corrected = (rate * math.sqrt(1 - group["beta2"] ** steps)
                     / (1 - group["beta1"] ** steps))
        torch._foreach_addcdiv_(tensors, means, divisors, -corrected)


class LAMB(_Adaptive):
    """LAMB: Adam's step g with decay behind it, times the norm of w over that of g, by parameter.

    ``g = (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon) + decay * w``; where a norm is
    0, the step is g. You et al., Large Batch Optimization for Deep Learning, 2019.
    """

    EPSILON = 1e-6

    def _update(self, group: dict[str, Any], rate: float, decay: float, tensors: list[Tensor],
                gradients: list[Tensor]) -> None:
        means, squares = self._moments(group, tensors, gradients)
        steps = group["steps"]
        divisors = torch._foreach_div(squares, 1 - group["beta2"] ** steps)
        torch._foreach_sqrt_(divisors)
        torch._foreach_add_(divisors, self.EPSILON)
        moves = torch._foreach_div(means, 1 - group["beta1"] ** steps)
        torch._foreach_div_(moves, divisors)
        torch._foreach_add_(moves, tensors, alpha=decay)
        for tensor, move in zip(tensors, moves):
            sizes = tensor.norm(), move.norm()
            ratio = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1.0)
            tensor.sub_(move * (rate * ratio))


#: The optimizers by the names of a recipe's option.
BY_NAME: Mapping[str, type[Optimizer]] = MappingProxyType(
    {"sgd": SGD, "nag": NAG, "adam": Adam, "lamb": LAMB})
