"""Pooling: maxima, averages and sums of windows, and averages over a given number of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.operators.convolutions import window
from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer

#: ONNX's operators by MXNet's kind: over windows, and over the whole map.
KINDS = {"max": ("MaxPool", "GlobalMaxPool"), "avg": ("AveragePool", "GlobalAveragePool"),
         "sum": ("AveragePool", "GlobalAveragePool")}


@translates("Pooling", "Pooling_v1")
def pooling(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a pooling; a larger map by MXNet's convention ``full`` becomes padding."""
    attrs, (data,) = operator.attrs, inputs
    kind, rank = attrs.text("pool_type", "max"), len(data.sizes) - 2
    if kind not in KINDS:
        raise unsupported(operator, f"it pools by {kind!r}; there are {', '.join(KINDS)}")
    window_op, global_op = KINDS[kind]
    if attrs.flag("global_pool"):
        if not attrs.text("layout", "NC").startswith("NC"):
            raise unsupported(operator, f"its layout is {attrs.text('layout')}")
        return _multiplied(writer.node(global_op, [data], operator.name, operator.shape),
                           math.prod(data.sizes[2:]) if kind == "sum" else 1, operator, writer)
    settings = window(operator)
    pads = _onnx_pads(operator, data, settings)
    if kind == "max" and operator.op == "Pooling_v1" and any(attrs.sequence("pad")):
        raise unsupported(operator, "its maxima count the padding as zeros")
    if kind == "max":
        return [writer.node(window_op, [data], operator.name, operator.shape, pads=pads,
                            **settings)]
    counted = kind == "sum" or operator.op == "Pooling_v1" or attrs.flag("count_include_pad", True)
    pooled = writer.node(window_op, [data], operator.name, operator.shape, pads=pads,
                         count_include_pad=int(counted), **settings)
    if kind == "sum":
        return _multiplied(pooled, math.prod(settings["kernel_shape"]), operator, writer)
    if not counted or operator.op == "Pooling_v1":
        return [pooled]
    return _multiplied(pooled, _padding_factors(operator, data, settings, rank), operator, writer)


def _multiplied(value: Value, factor: int | np.ndarray, operator: Operator,
                writer: Writer) -> list[Value]:
    """Write a product with a number, or with an array that broadcasts, where it is not 1."""
    if np.all(factor == 1):
        return [value]
    constant = Value.constant(np.asarray(factor, np.float32), f"{operator.name}_factor")
    return [writer.node("Mul", [value, constant], f"{operator.name}_scaled", operator.shape)]


def _onnx_pads(operator: Operator, data: Value, settings: dict[str, tuple[int, ...]]
               ) -> tuple[int, ...]:
    """Return ONNX's pads (all before, all after) that give a map of MXNet's size.

    With the convention ``full`` the last window may lie partly beyond the padding.
    """
    before = operator.attrs.extent("pad", len(data.sizes) - 2, 0)
    # may be less than the padding before, where the last cells fit no further window
    after = [max(0, (out - 1) * stride + kernel - size - first)
             for out, stride, kernel, size, first in zip(
                 operator.shape.sizes[2:], settings["strides"], settings["kernel_shape"],
                 data.sizes[2:], before)]
    if any(pad >= kernel for pad, kernel in zip((*before, *after), settings["kernel_shape"] * 2)):
        raise unsupported(operator, "one of its windows lies in the padding alone")
    return (*before, *after)


def _padding_factors(operator: Operator, data: Value, settings: dict[str, tuple[int, ...]],
                     rank: int) -> np.ndarray:
    """Return the factors of averages, (1, 1, h, w), for windows that reach beyond MXNet's padding.

    MXNet's averages include its own padding, but not cells beyond that; ONNX's include all.
    """
    share = np.ones((1, 1, *[1] * rank))
    for axis, (out, stride, kernel, size, before) in enumerate(zip(
            operator.shape.sizes[2:], settings["strides"], settings["kernel_shape"],
            data.sizes[2:], operator.attrs.extent("pad", rank, 0))):
        starts = np.arange(out) * stride - before
        along = kernel / (np.minimum(starts + kernel, size + before) - starts)
        share = share * along.reshape(-1, *[1] * (rank - axis - 1))
    return share


@translates("_contrib_AdaptiveAvgPooling2D")
def adaptive(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write averages over a given number of windows, which may overlap and differ in size."""
    (data,), name, shape = inputs, operator.name, operator.shape
    before, after = data.sizes[2:], shape.sizes[2:]
    if set(after) == {1}:
        return [writer.node("GlobalAveragePool", [data], name, shape)]
    if not any(size % count for size, count in zip(before, after)):
        sides = [size // count for size, count in zip(before, after)]
        return [writer.node("AveragePool", [data], name, shape, kernel_shape=sides, strides=sides)]
    # an average along each side is a product with a matrix of shares
    down, across = (_averages(size, count) for size, count in zip(before, after))
    rows = writer.node("MatMul", [Value.constant(down, f"{name}_down"), data], f"{name}_rows")
    return [writer.node("MatMul", [rows, Value.constant(across.T, f"{name}_across")], name, shape)]


def _averages(size: int, count: int) -> np.ndarray:
    """Return the matrix (count, size) float32 of averages: a row has a window's weights."""
    matrix = np.zeros((count, size), np.float32)
    for index in range(count):
        begin, end = index * size // count, -(-(index + 1) * size // count)
        matrix[index, begin:end] = 1 / (end - begin)
    return matrix
