"""Activation functions that have parameters."""

from __future__ import annotations

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
    return lambda data: torch.clamp(alpha * data + beta, 0, 1)


@translates("clip")
def clip(node: Node) -> Compute:
    """Return values kept between two bounds, as ReLU6 does."""
    low, high = node.attrs.number("a_min"), node.attrs.number("a_max")
    return lambda data: torch.clamp(data, low, high)
