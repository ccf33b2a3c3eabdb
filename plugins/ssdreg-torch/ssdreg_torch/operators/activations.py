"""Activation functions that have parameters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, Operation, translates, unsupported

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
               "softrelu": functional.softplus, "softsign": functional.softsign}


@translates("Activation")
def activation(node: Node) -> Compute:
    """Return the function of ``act_type``."""
    kind = node.attrs.text("act_type")
    if kind not in ACTIVATIONS:
        raise unsupported(node, f"it is {kind!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[kind]


@translates("LeakyReLU")
def leaky(node: Node) -> Compute | Operation:
    """Return an activation of MXNet's LeakyReLU: leaky, rrelu, elu, selu, prelu or gelu.

    The gradient of selu is its derivative, which MXNet's is not below 0.
    """
    attrs = node.attrs
    kind, slope = attrs.text("act_type", "leaky"), attrs.number("slope", 0.25)
    if kind == "rrelu":
        low, high = attrs.number("lower_bound", 0.125), attrs.number("upper_bound", 0.334)
        return Operation(lambda data: functional.rrelu(data, low, high, training=True),
                         lambda data: functional.leaky_relu(data, (low + high) / 2))
    kinds: dict[str, Compute] = {
        "leaky": lambda data: functional.leaky_relu(data, slope),
        "elu": lambda data: functional.elu(data, slope),
        "selu": functional.selu, "gelu": functional.gelu, "prelu": _prelu}
    if kind not in kinds:
        raise unsupported(node, f"{kind!r} is not known")
    return kinds[kind]


def _prelu(data: Tensor, slope: Tensor) -> Tensor:
    """Return PReLU with one slope, one a channel, or one a cell."""
    if slope.ndim == 1 and data.ndim > 1:
        slope = slope.reshape(-1, *[1] * (data.ndim - 2))
    return torch.where(data > 0, data, data * slope)


@translates("hard_sigmoid")
def hard_sigmoid(node: Node) -> Compute:
    """Return ``clip(alpha * x + beta, 0, 1)``."""
    alpha, beta = node.attrs.number("alpha", 0.2), node.attrs.number("beta", 0.5)
    return between(0.0, 1.0, lambda data: alpha * data + beta)


@translates("clip")
def clip(node: Node) -> Compute:
    """Return values kept between two bounds, as ReLU6 does."""
    return between(node.attrs.number("a_min"), node.attrs.number("a_max"))


def between(low: float, high: float, of: Compute = lambda data: data) -> Compute:
    """Return values kept between two bounds; a value on a bound passes its gradient on."""
    bounds = _Bounds(low, high)

    def compute(data: Tensor) -> Tensor:
        kept: Tensor = _Between.apply(of(data), bounds)
        return kept
    return compute


class _Bounds:
    """Two bounds, and the numbers next to them outside, by the type of the numbers."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.outside = {dtype: tuple(
            torch.nextafter(torch.tensor(bound, dtype=dtype),
                            torch.tensor(away, dtype=dtype)).item()
            for bound, away in ((low, -math.inf), (high, math.inf)))
            for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}


class _Between(torch.autograd.Function):
    """`torch.clamp`, whose own backward pass takes up to thirty times as long."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, bounds: _Bounds) -> Tensor:
        """Keep the input for the backward pass."""
        ctx.save_for_backward(data)
        ctx.outside = bounds.outside[data.dtype]
        return torch.clamp(data, bounds.low, bounds.high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient on where the input lies between the numbers outside."""
        (data,), (gradient,) = ctx.saved_tensors, gradients
        return torch.ops.aten.hardtanh_backward(gradient, data, *ctx.outside), None
