"""Operators that scale values by others of the same map: softmax, L2, local response, layers."""

from __future__ import annotations

from collections.abc import Sequence

from ssdreg.export.reading import Operator
from ssdreg.export.translation import translates, unsupported
from ssdreg.export.writer import Value, Writer


@translates("softmax", "log_softmax", "SoftmaxActivation", "SoftmaxOutput", "Softmax")
def softmax(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a softmax over one axis, or its logarithm."""
    attrs, data, name = operator.attrs, inputs[0], operator.name
    axis = attrs.integer("axis", -1)
    if operator.op == "SoftmaxActivation":
        axis = 1 if attrs.text("mode", "instance") == "channel" else -1
    if operator.op in ("SoftmaxOutput", "Softmax"):
        axis = 1 if attrs.flag("multi_output") else -1
    if attrs.given("temperature") and attrs.number("temperature") != 1:
        data = writer.node("Div", [data, writer.floats(attrs.number("temperature"),
                                                       f"{name}_temperature")], f"{name}_cooled")
    op = "LogSoftmax" if operator.op == "log_softmax" else "Softmax"
    return [writer.node(op, [data], name, operator.shape, axis=axis)]


@translates("L2Normalization")
def l2(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``x / sqrt(sum(x ** 2) + eps)``, over channels, places or all."""
    rank, name = len(inputs[0].sizes), operator.name
    axes = {"channel": [1], "spatial": list(range(2, rank)), "instance": list(range(1, rank))}
    mode = operator.attrs.text("mode", "instance")
    squared = writer.node("Mul", [inputs[0], inputs[0]], f"{name}_squared")
    total = writer.node("ReduceSum", [squared, writer.integers(axes[mode], f"{name}_axes")],
                        f"{name}_sum", keepdims=1)
    eps = writer.floats(operator.attrs.number("eps", 1e-10), f"{name}_eps")
    length = writer.node("Sqrt", [writer.node("Add", [total, eps], f"{name}_above")],
                         f"{name}_length")
    return [writer.node("Div", [inputs[0], length], name, operator.shape)]


@translates("LRN")
def lrn(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a local response normalisation."""
    attrs = operator.attrs
    return [writer.node("LRN", inputs, operator.name, operator.shape, size=attrs.integer("nsize"),
                        alpha=attrs.number("alpha", 1e-4), beta=attrs.number("beta", 0.75),
                        bias=attrs.number("knorm", 2.0))]


@translates("InstanceNorm")
def instance_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a normalisation of each map by its own moments."""
    return [writer.node("InstanceNormalization", inputs, operator.name, operator.shape,
                        epsilon=operator.attrs.number("eps", 1e-3))]


@translates("LayerNorm")
def layer_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a normalisation over the last axis."""
    axis = operator.attrs.integer("axis", -1)
    if axis not in (-1, len(inputs[0].sizes) - 1):
        raise unsupported(operator, "its axis is not the last")
    return [writer.node("LayerNormalization", inputs, operator.name, operator.shape, axis=-1,
                        epsilon=operator.attrs.number("eps", 1e-5))]
