"""Operators that work on each value alone, on two values at a place, or with a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.export.reading import Operator
from ssdreg.export.translation import Translation, translates, unsupported
from ssdreg.export.writer import Value, Writer

#: MXNet's functions of one value that ONNX has too.
UNARY = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
         "sqrt": "Sqrt", "abs": "Abs", "negative": "Neg", "floor": "Floor", "ceil": "Ceil",
         "erf": "Erf", "softsign": "Softsign", "reciprocal": "Reciprocal"}
#: What passes its value on at inference.
PASSING = ("identity", "_copy", "BlockGrad", "stop_gradient", "Dropout", "MakeLoss", "make_loss",
           "_identity_with_attr_like_rhs", "IdentityAttachKLSparseReg")
BINARY = {"Add": ("elemwise_add", "_plus", "_Plus", "broadcast_add", "broadcast_plus"),
          "Sub": ("elemwise_sub", "_minus", "_Minus", "broadcast_sub", "broadcast_minus"),
          "Mul": ("elemwise_mul", "_mul", "_Mul", "broadcast_mul"),
          "Div": ("elemwise_div", "_div", "_Div", "broadcast_div"),
          "Pow": ("_power", "_Power", "broadcast_power"),
          "Max": ("_maximum", "_Maximum", "broadcast_maximum"),
          "Min": ("_minimum", "_Minimum", "broadcast_minimum")}
#: Operators with a number: ONNX's, and whether the number stands before the value.
SCALAR = {"_plus_scalar": ("Add", False), "_minus_scalar": ("Sub", False),
          "_rminus_scalar": ("Sub", True), "_mul_scalar": ("Mul", False),
          "_div_scalar": ("Div", False), "_rdiv_scalar": ("Div", True),
          "_power_scalar": ("Pow", False), "_rpower_scalar": ("Pow", True),
          "_maximum_scalar": ("Max", False), "_minimum_scalar": ("Min", False)}
#: The same operators have a second name each, as _PlusScalar is.
SCALAR.update({f"_{name[1:].title().replace('_', '')}": how for name, how in list(SCALAR.items())})
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus",
               "softsign": "Softsign"}


def _simple(op: str) -> Translation:
    def write(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
        return [writer.node(op, inputs, operator.name, operator.shape)]
    return write


for _mxnet, _onnx in UNARY.items():
    translates(_mxnet)(_simple(_onnx))
for _onnx, _names in BINARY.items():
    translates(*_names)(_simple(_onnx))
translates("add_n", "ElementWiseSum", "_sum")(_simple("Sum"))


@translates(*PASSING)
def passing(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Pass the value on."""
    return [inputs[0]]


@translates("Cast", "cast", "amp_cast")
def cast(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Pass floating-point values on: the file's precision is chosen when it is written."""
    dtype = operator.attrs.text("dtype")
    if not dtype.startswith(("float", "bfloat")):
        raise unsupported(operator, f"it makes {dtype} of its input")
    return [inputs[0]]


@translates("amp_multicast")
def multicast(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Pass all values on; see `cast`."""
    return list(inputs)


@translates(*SCALAR)
def scalar(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write an operator with a number."""
    op, before = SCALAR[operator.op]
    number = writer.floats(operator.attrs.number("scalar"), f"{operator.name}_number")
    both: list[Value | str] = [number, inputs[0]] if before else [inputs[0], number]
    return [writer.node(op, both, operator.name, operator.shape)]


@translates("square")
def square(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a square as a product."""
    return [writer.node("Mul", [inputs[0], inputs[0]], operator.name, operator.shape)]


@translates("Activation")
def activation(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``act_type``."""
    kind = operator.attrs.text("act_type")
    if kind not in ACTIVATIONS:
        raise unsupported(operator, f"it is {kind!r}; there are {', '.join(ACTIVATIONS)}")
    return [writer.node(ACTIVATIONS[kind], inputs, operator.name, operator.shape)]


@translates("LeakyReLU")
def leaky(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write the activations that MXNet has under this name."""
    kind, slope = operator.attrs.text("act_type", "leaky"), operator.attrs.number("slope", 0.25)
    name, shape = operator.name, operator.shape
    if kind == "leaky":
        return [writer.node("LeakyRelu", inputs, name, shape, alpha=slope)]
    if kind == "elu":
        return [writer.node("Elu", inputs, name, shape, alpha=slope)]
    if kind == "selu":
        return [writer.node("Selu", inputs, name, shape)]
    if kind == "prelu":
        data, gamma = inputs
        if gamma.array is not None and gamma.array.ndim == 1:
            # a slope a channel
            gamma = Value.constant(gamma.array.reshape(-1, *[1] * (len(data.sizes) - 2)),
                                   gamma.label)
        return [writer.node("PRelu", [data, gamma], name, shape)]
    if kind == "gelu":
        half = writer.floats(0.5, f"{name}_half")
        scaled = writer.node("Mul", [inputs[0], writer.floats(np.sqrt(0.5), f"{name}_root")],
                             f"{name}_scaled")
        error = writer.node("Erf", [scaled], f"{name}_erf")
        above = writer.node("Add", [error, writer.floats(1.0, f"{name}_one")], f"{name}_above")
        twice = writer.node("Mul", [inputs[0], above], f"{name}_twice")
        return [writer.node("Mul", [twice, half], name, shape)]
    raise unsupported(operator, f"it is {kind!r}, which draws its slope at random or is unknown")


@translates("hard_sigmoid")
def hard_sigmoid(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``clip(alpha * x + beta, 0, 1)``."""
    return [writer.node("HardSigmoid", inputs, operator.name, operator.shape,
                        alpha=operator.attrs.number("alpha", 0.2),
                        beta=operator.attrs.number("beta", 0.5))]


@translates("clip")
def clip(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a value kept between two bounds, as ReLU6 is."""
    bounds = [writer.floats(operator.attrs.number(name), f"{operator.name}_{name}")
              for name in ("a_min", "a_max")]
    return [writer.node("Clip", [inputs[0], *bounds], operator.name, operator.shape)]
