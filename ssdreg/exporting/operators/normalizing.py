"""Normalizations: by running moments, and by moments of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import in_float32, translates, unsupported
from ssdreg.exporting.writer import Value, Writer

BATCH_NORMS = ("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm")


@translates(*BATCH_NORMS)
def batch_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a batch normalisation by its running moments."""
    _one_output(operator)
    return [_batch_norm(operator, inputs, writer, operator.name)]


@translates("_contrib_BatchNormWithReLU")
def batch_norm_relu(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a batch normalisation with a ReLU behind it."""
    _one_output(operator)
    normalized = _batch_norm(operator, inputs, writer, f"{operator.name}_bn")
    return [writer.node("Relu", [normalized], operator.name, operator.shape)]


def _one_output(operator: Operator) -> None:
    if len(operator.outputs) > 1:
        raise unsupported(operator, "its moments are outputs too (output_mean_var)")


def _batch_norm(operator: Operator, inputs: Sequence[Value], writer: Writer, name: str) -> Value:
    scale, offset = affine(operator, inputs)
    rank = len(inputs[0].sizes)
    axis = channel_axis(operator, rank)
    if axis != 1:
        shape = [-1 if index == axis else 1 for index in range(rank)]
        parts = [Value.constant(array.astype(np.float32).reshape(shape), f"{name}_{label}")
                 for label, array in (("scale", scale), ("offset", offset))]
        scaled = writer.node("Mul", [inputs[0], parts[0]], f"{name}_scaled")
        return writer.node("Add", [scaled, parts[1]], name, operator.shape)
    # folded into scale and offset in double precision; not as Mul and Add, because engines fuse
    # this operator with convolutions
    parts = [Value.constant(array.astype(np.float32), f"{name}_{label}") for label, array in (
        ("scale", scale), ("offset", offset), ("mean", np.zeros_like(scale)),
        ("variance", np.ones_like(scale)))]
    return writer.node("BatchNormalization", [inputs[0], *parts], name, operator.shape,
                       epsilon=0.0)


def channel_axis(operator: Operator, rank: int) -> int:
    """Return the channel axis of a batch normalisation."""
    return operator.attrs.integer("axis", 1) % rank


def affine(operator: Operator, inputs: Sequence[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale and offset (C,), float64, that a batch normalisation is equivalent to."""
    gamma, beta, mean, variance = (_array(operator, value) for value in inputs[1:5])
    if operator.attrs.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + operator.attrs.number("eps", 1e-3))
    return scale, beta - mean * scale


def _array(operator: Operator, value: Value) -> np.ndarray:
    if value.array is None:
        raise unsupported(operator, "its parameters are computed from the image")
    return value.array.astype(np.float64)


@translates("InstanceNorm")
@in_float32
def instance_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a normalisation of each map by its own moments."""
    return [writer.node("InstanceNormalization", inputs, operator.name, operator.shape,
                        epsilon=operator.attrs.number("eps", 1e-3))]


@translates("LayerNorm")
@in_float32
def layer_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a normalisation over one axis; ONNX has it over the last."""
    _one_output(operator)
    (data, *params), name, rank = inputs, operator.name, len(inputs[0].sizes)
    axis = operator.attrs.integer("axis", -1) % rank
    settings: dict[str, Any] = {"axis": -1, "epsilon": operator.attrs.number("eps", 1e-5)}
    if axis == rank - 1:
        return [writer.node("LayerNormalization", inputs, name, operator.shape, **settings)]
    order = [*(index for index in range(rank) if index != axis), axis]
    transposed = writer.node("Transpose", [data], f"{name}_turned", perm=order)
    normalized = writer.node("LayerNormalization", [transposed, *params], f"{name}_last",
                             **settings)
    return [writer.node("Transpose", [normalized], name, operator.shape,
                        perm=[order.index(index) for index in range(rank)])]


@translates("GroupNorm")
@in_float32
def group_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a normalisation over groups of channels, with MXNet's one scale and offset a group."""
    _one_output(operator)
    (data, *params), name = inputs, operator.name
    groups = operator.attrs.integer("num_groups", 1)
    # each group as one channel with all its values
    joined = writer.node("Reshape", [data, writer.integers([0, groups, -1], f"{name}_groups")],
                         f"{name}_joined")
    normalized = writer.node("InstanceNormalization", [joined, *params], f"{name}_by_group",
                             epsilon=operator.attrs.number("eps", 1e-5))
    sizes = writer.integers([0, *data.sizes[1:]], f"{name}_shape")
    return [writer.node("Reshape", [normalized, sizes], name, operator.shape)]


@translates("L2Normalization")
@in_float32
def l2(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``x / sqrt(sum(x ** 2) + eps)``, over channels, places or all."""
    rank, name = len(inputs[0].sizes), operator.name
    axes = {"channel": [1], "spatial": list(range(2, rank)), "instance": list(range(1, rank))}
    mode = operator.attrs.text("mode", "instance")
    squared = writer.node("Mul", [inputs[0], inputs[0]], f"{name}_squared")
    total = writer.reduce("ReduceSum", squared, axes[mode], True, f"{name}_sum")
    eps = writer.floats(operator.attrs.number("eps", 1e-10), f"{name}_eps")
    length = writer.node("Sqrt", [writer.node("Add", [total, eps], f"{name}_above")],
                         f"{name}_length")
    return [writer.node("Div", [inputs[0], length], name, operator.shape)]


@translates("LRN")
@in_float32
def lrn(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write ``x / (knorm + alpha * mean(x ** 2)) ** beta``, the mean over neighbouring channels.

    ONNX has an operator for it, which OpenVINO computes wrongly where beta is not 0.75.
    """
    attrs, (data, *_), name = operator.attrs, inputs, operator.name
    size = attrs.integer("nsize")
    squared = writer.node("Mul", [data, data], f"{name}_squared")
    # channels as the rows of a map, over which an average runs
    apart = writer.node("Reshape", [squared, writer.integers(
        [0, 1, data.sizes[1], -1], f"{name}_rows")], f"{name}_apart")
    mean = writer.node("AveragePool", [apart], f"{name}_mean", kernel_shape=(size, 1),
                       pads=(size // 2, 0, size // 2, 0), count_include_pad=1)
    together = writer.node("Reshape", [mean, writer.integers(
        [0, *data.sizes[1:]], f"{name}_shape")], f"{name}_together")
    scaled = writer.node("Mul", [together, writer.floats(
        attrs.number("alpha", 1e-4), f"{name}_alpha")], f"{name}_scaled")
    above = writer.node("Add", [scaled, writer.floats(
        attrs.number("knorm", 2.0), f"{name}_knorm")], f"{name}_above")
    divisor = writer.node("Pow", [above, writer.floats(
        attrs.number("beta", 0.75), f"{name}_beta")], f"{name}_divisor")
    return [writer.node("Div", [data, divisor], name, operator.shape)]
