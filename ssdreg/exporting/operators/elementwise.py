"""Elementwise operators: of one value, of two, or of a value and a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import Translation, translates, unsupported
from ssdreg.exporting.writer import Value, Writer

#: MXNet's functions of one value that ONNX has too.
UNARY = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
         "sqrt": "Sqrt", "abs": "Abs", "negative": "Neg", "floor": "Floor", "ceil": "Ceil",
         "erf": "Erf", "softsign": "Softsign", "reciprocal": "Reciprocal", "sign": "Sign",
         "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos",
         "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh"}
#: Operators that are identities at inference.
IDENTITIES = ("_copy", "BlockGrad", "MakeLoss", "make_loss", "LinearRegressionOutput",
              "MAERegressionOutput")
BINARY = {"Add": ("elemwise_add", "broadcast_add"),
          "Sub": ("elemwise_sub", "broadcast_sub"),
          "Mul": ("elemwise_mul", "broadcast_mul"),
          "Div": ("elemwise_div", "broadcast_div"),
          "Pow": ("_power", "broadcast_power"),
          "Max": ("_maximum", "broadcast_maximum"),
          "Min": ("_minimum", "broadcast_minimum")}
#: Operators with a number: ONNX's, and whether the number is the first operand.
SCALAR = {"_plus_scalar": ("Add", False), "_minus_scalar": ("Sub", False),
          "_rminus_scalar": ("Sub", True), "_mul_scalar": ("Mul", False),
          "_div_scalar": ("Div", False), "_rdiv_scalar": ("Div", True),
          "_power_scalar": ("Pow", False), "_rpower_scalar": ("Pow", True),
          "_maximum_scalar": ("Max", False), "_minimum_scalar": ("Min", False)}
#: Comparisons, whose results in MXNet are 1 and 0: ONNX's, and whether to negate it.
COMPARISONS = {"equal": ("Equal", False), "not_equal": ("Equal", True),
               "greater": ("Greater", False), "greater_equal": ("GreaterOrEqual", False),
               "lesser": ("Less", False), "lesser_equal": ("LessOrEqual", False)}
_BOOL = np.dtype(bool)


def _simple(op: str) -> Translation:
    def write(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
        return [writer.node(op, inputs, operator.name, operator.shape)]
    return write


def _comparison(op: str, negated: bool) -> Translation:
    def write(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
        operands: list[Value | str] = [*inputs]
        if len(inputs) == 1:
            operands.append(_number(operator, writer))
        result = writer.node(op, operands, f"{operator.name}_is", operator.shape)
        if negated:
            result = writer.node("Not", [result], f"{operator.name}_is_not", operator.shape)
        return [writer.cast(result, writer.dtype, operator.name)]
    return write


for _mxnet, _onnx in UNARY.items():
    translates(_mxnet)(_simple(_onnx))
for _onnx, _names in BINARY.items():
    translates(*_names)(_simple(_onnx))
for _mxnet, (_onnx, _negated) in COMPARISONS.items():
    translates(f"_{_mxnet}", f"broadcast_{_mxnet}", f"_{_mxnet}_scalar")(
        _comparison(_onnx, _negated))
translates("add_n")(_simple("Sum"))


@translates(*IDENTITIES)
def identity(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Return the input."""
    return [inputs[0]]


@translates("Dropout")
def dropout(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Return the input where nothing is dropped at inference."""
    if operator.attrs.text("mode", "training") != "training":
        raise unsupported(operator, "it drops values at random at inference too (mode='always')")
    return [inputs[0]] * len(operator.outputs)


@translates("Cast", "amp_cast")
def cast(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Return floating-point inputs: the file's precision is chosen when it is written."""
    dtype = operator.attrs.text("dtype")
    if not dtype.startswith(("float", "bfloat")):
        raise unsupported(operator, f"it makes {dtype} of its input")
    return [inputs[0]]


@translates("amp_multicast")
def multicast(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Return all inputs; see `cast`."""
    return list(inputs)


@translates(*SCALAR)
def scalar(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write an operator with a number."""
    op, before = SCALAR[operator.op]
    number = _number(operator, writer)
    operands: list[Value | str] = [number, inputs[0]] if before else [inputs[0], number]
    return [writer.node(op, operands, operator.name, operator.shape)]


def _number(operator: Operator, writer: Writer) -> str:
    return writer.floats(operator.attrs.number("scalar"), f"{operator.name}_number")


@translates("square")
def square(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a square as a product."""
    return [writer.node("Mul", [inputs[0], inputs[0]], operator.name, operator.shape)]


@translates("rsqrt")
def reciprocal_root(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``1 / sqrt(x)``."""
    root = writer.node("Sqrt", inputs, f"{operator.name}_root")
    return [writer.node("Reciprocal", [root], operator.name, operator.shape)]


@translates("log1p")
def log1p(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``log(1 + x)``."""
    above = writer.node("Add", [inputs[0], writer.floats(1.0, f"{operator.name}_one")],
                        f"{operator.name}_above")
    return [writer.node("Log", [above], operator.name, operator.shape)]


@translates("_contrib_div_sqrt_dim")
def div_sqrt_dim(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a division by the root of the last dimension, as attention has it."""
    root = writer.floats(np.sqrt(inputs[0].sizes[-1]), f"{operator.name}_root")
    return [writer.node("Div", [inputs[0], root], operator.name, operator.shape)]


@translates("where")
def where(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a selection between two values; a condition (B,) applies to whole images."""
    condition, if_true, if_false = inputs
    if len(condition.sizes) < len(if_true.sizes):
        shape = [-1, *[1] * (len(if_true.sizes) - 1)]
        condition = writer.node("Reshape", [condition, writer.integers(
            shape, f"{operator.name}_by_image")], f"{operator.name}_condition")
    holds = writer.cast(condition, _BOOL, f"{operator.name}_holds")
    return [writer.node("Where", [holds, if_true, if_false], operator.name, operator.shape)]


@translates("zeros_like", "ones_like")
def fill(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write zeros or ones of a value's shape, which depends on the batch."""
    number = writer.floats(float(operator.op == "ones_like"), f"{operator.name}_value")
    shape = writer.node("Shape", inputs, f"{operator.name}_shape")
    return [writer.node("Expand", [number, shape], operator.name, operator.shape)]
