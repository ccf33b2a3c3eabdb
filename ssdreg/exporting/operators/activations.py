"""Activation functions that have parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer

ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus",
               "softsign": "Softsign"}


@translates("Activation")
def activation(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``act_type``."""
    kind = operator.attrs.text("act_type")
    if kind not in ACTIVATIONS:
        raise unsupported(operator, f"it is {kind!r}; there are {', '.join(ACTIVATIONS)}")
    return [writer.node(ACTIVATIONS[kind], inputs, operator.name, operator.shape)]


@translates("LeakyReLU")
def leaky(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write an activation of MXNet's LeakyReLU: leaky, rrelu, elu, selu, prelu or gelu."""
    attrs, name, shape, data = operator.attrs, operator.name, operator.shape, inputs[0]
    kind, slope = attrs.text("act_type", "leaky"), attrs.number("slope", 0.25)
    if kind == "rrelu":
        # random between two bounds in training, their mean at inference
        slope = (attrs.number("lower_bound", 0.125) + attrs.number("upper_bound", 0.334)) / 2
    if kind in ("leaky", "rrelu"):
        return [writer.node("LeakyRelu", [data], name, shape, alpha=slope)]
    if kind == "elu":
        return [writer.node("Elu", [data], name, shape, alpha=slope)]
    if kind == "selu":
        return [writer.node("Selu", [data], name, shape)]
    if kind == "prelu":
        return [_prelu(operator, data, inputs[1], writer)]
    if kind == "gelu":
        return [_gelu(operator, data, writer)]
    raise unsupported(operator, f"{kind!r} is not known")


def _prelu(operator: Operator, data: Value, slope: Value, writer: Writer) -> Value:
    """Write PRelu with one slope, one a channel, or one a cell."""
    if slope.array is None:
        raise unsupported(operator, "its slopes are computed from the image")
    rank = len(data.sizes)
    if slope.array.ndim == 1 and rank > 1:
        slope = Value.constant(slope.array.reshape(-1, *[1] * (rank - 2)), slope.label)
    return writer.node("PRelu", [data, slope], operator.name, operator.shape)


def _gelu(operator: Operator, data: Value, writer: Writer) -> Value:
    """Write ``x / 2 * (1 + erf(x / sqrt(2)))``."""
    name = operator.name
    scaled = writer.node("Div", [data, writer.floats(np.sqrt(2), f"{name}_root")],
                         f"{name}_scaled")
    error = writer.node("Erf", [scaled], f"{name}_erf")
    above = writer.node("Add", [error, writer.floats(1.0, f"{name}_one")], f"{name}_above")
    twice = writer.node("Mul", [data, above], f"{name}_twice")
    return writer.node("Mul", [twice, writer.floats(0.5, f"{name}_half")], name, operator.shape)


@translates("hard_sigmoid")
def hard_sigmoid(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``clip(alpha * x + beta, 0, 1)``."""
    return [writer.node("HardSigmoid", inputs, operator.name, operator.shape,
                        alpha=operator.attrs.number("alpha", 0.2),
                        beta=operator.attrs.number("beta", 0.5))]


@translates("clip")
def clip(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a value kept between two bounds, as ReLU6 is."""
    # a bound beyond the type's range bounds nothing
    most = float(np.finfo(writer.dtype).max)
    bounds = [writer.floats(min(max(operator.attrs.number(name), -most), most),
                            f"{operator.name}_{name}") for name in ("a_min", "a_max")]
    return [writer.node("Clip", [inputs[0], *bounds], operator.name, operator.shape)]
