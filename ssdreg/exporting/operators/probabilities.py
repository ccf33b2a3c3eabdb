"""Softmax in its forms, and the outputs that networks are trained with."""

from __future__ import annotations

from collections.abc import Sequence

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer

#: Outputs for training: their inputs after the first are labels, which inference does not read.
LABELLED = ("SoftmaxOutput", "LogisticRegressionOutput", "LinearRegressionOutput",
            "MAERegressionOutput")


@translates("softmax", "log_softmax", "softmin")
def softmax(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a softmax over one axis, of the negative values, or its logarithm."""
    attrs, (data, *lengths), name = operator.attrs, inputs, operator.name
    if lengths or attrs.flag("use_length"):
        raise unsupported(operator, "it looks at the first values of an axis only (use_length)")
    divisor = attrs.number("temperature", 1.0) * (-1.0 if operator.op == "softmin" else 1.0)
    if divisor != 1:
        data = writer.node("Div", [data, writer.floats(divisor, f"{name}_divisor")],
                           f"{name}_scaled")
    op = "LogSoftmax" if operator.op == "log_softmax" else "Softmax"
    return [writer.node(op, [data], name, operator.shape, axis=attrs.integer("axis", -1))]


@translates("SoftmaxActivation")
def softmax_activation(operator: Operator, inputs: Sequence[Value],
                       writer: Writer) -> list[Value]:
    """Write a softmax over the channels, or over the last axis."""
    axis = 1 if operator.attrs.text("mode", "instance") == "channel" else -1
    return [writer.node("Softmax", [inputs[0]], operator.name, operator.shape, axis=axis)]


@translates("SoftmaxOutput")
def softmax_output(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write the softmax of a softmax with a loss; its label is not read at inference."""
    axis = 1 if operator.attrs.flag("multi_output") else -1
    return [writer.node("Softmax", [inputs[0]], operator.name, operator.shape, axis=axis)]


@translates("LogisticRegressionOutput")
def logistic_output(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a sigmoid; see `softmax_output`."""
    return [writer.node("Sigmoid", [inputs[0]], operator.name, operator.shape)]
