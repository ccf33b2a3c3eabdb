"""Reductions over axes, indices of extremes, and cumulative sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import in_float32, translates, unsupported
from ssdreg.exporting.writer import Value, Writer

REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin",
              "prod": "ReduceProd"}
ARG_EXTREMES = {"argmax": "ArgMax", "argmin": "ArgMin"}


@translates(*REDUCTIONS)
def reduction(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a mean, sum, product or extreme over axes."""
    return [_reduce(operator, REDUCTIONS[operator.op], inputs[0], writer)]


@translates("norm")
@in_float32
def norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write the sum of absolute values, or the root of the sum of squares."""
    if operator.attrs.integer("ord", 2) == 2:
        return [_reduce(operator, "ReduceL2", inputs[0], writer)]
    # and not ReduceL1, whose axes OpenVINO overlooks below opset 18
    sizes = writer.node("Abs", inputs, f"{operator.name}_abs", inputs[0].shape)
    return [_reduce(operator, "ReduceSum", sizes, writer)]


def _reduce(operator: Operator, op: str, data: Value, writer: Writer) -> Value:
    rank, keep = len(data.sizes), operator.attrs.flag("keepdims")
    axes = [axis % rank for axis in operator.attrs.sequence("axis")]
    if not axes:
        axes = list(range(rank))
    elif operator.attrs.flag("exclude"):
        axes = [axis for axis in range(rank) if axis not in axes]
    if not axes:
        return data
    if any(data.shape.follows[axis] for axis in axes):
        raise unsupported(operator, "it puts the images of a batch together")
    return writer.reduce(op, data, axes, keep, operator.name, operator.shape)


@translates(*ARG_EXTREMES)
def arg_extreme(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write the index of the first extreme along an axis, as a floating-point number."""
    attrs, rank = operator.attrs, len(inputs[0].sizes)
    if not attrs.given("axis") or inputs[0].shape.follows[attrs.integer("axis") % rank]:
        raise unsupported(operator, "it puts the images of a batch together")
    index = writer.node(ARG_EXTREMES[operator.op], inputs, f"{operator.name}_place", operator.shape,
                        axis=attrs.integer("axis"), keepdims=int(attrs.flag("keepdims")))
    return [writer.cast(index, writer.dtype, operator.name)]


@translates("_np_cumsum")
def cumulative_sum(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write running sums along an axis."""
    attrs, rank = operator.attrs, len(inputs[0].sizes)
    if not attrs.given("axis") or inputs[0].shape.follows[attrs.integer("axis") % rank]:
        raise unsupported(operator, "it puts the images of a batch together")
    axis = writer.constant(np.array(attrs.integer("axis"), np.int64), f"{operator.name}_axis")
    return [writer.node("CumSum", [inputs[0], axis], operator.name, operator.shape)]
