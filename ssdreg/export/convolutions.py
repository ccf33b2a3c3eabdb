"""Convolution, batch normalisation, dense layers and pooling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.export.attributes import Attributes
from ssdreg.export.reading import Operator
from ssdreg.export.translation import translates, unsupported
from ssdreg.export.writer import Value, Writer


@translates("Convolution", "Convolution_v1")
def convolution(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a convolution as Conv."""
    attrs = operator.attrs
    pads = attrs.pair("pad", 0)
    return [writer.node("Conv", inputs, operator.name, operator.shape,
                        **_window(operator, (*pads, *pads)), group=attrs.integer("num_group", 1),
                        dilations=attrs.pair("dilate", 1))]


@translates("Deconvolution")
def deconvolution(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a transposed convolution as ConvTranspose."""
    attrs = operator.attrs
    kernel, stride, dilate = (attrs.pair("kernel", 1), attrs.pair("stride", 1),
                              attrs.pair("dilate", 1))
    # what the output's size leaves of the full result is cut off as padding
    excess = [(size - 1) * s + d * (k - 1) + 1 - out for size, s, d, k, out in zip(
        inputs[0].sizes[2:], stride, dilate, kernel, operator.shape.sizes[2:])]
    before = attrs.pair("pad", 0) if not attrs.given("target_shape") else tuple(
        (each + 1) // 2 for each in excess)
    after = [whole - first for whole, first in zip(excess, before)]
    missing = [max(0, -each) for each in after]
    return [writer.node("ConvTranspose", inputs, operator.name, operator.shape,
                        kernel_shape=kernel, strides=stride, dilations=dilate,
                        group=attrs.integer("num_group", 1), output_padding=missing,
                        pads=(*before, *(max(0, each) for each in after)))]


@translates("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm")
def batch_norm(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a batch normalisation by its running moments."""
    if operator.attrs.integer("axis", 1) != 1:
        raise unsupported(operator, "its axis is not that of the channels, 1")
    scale, offset = affine(operator, inputs)
    ones, zeros = np.ones_like(scale), np.zeros_like(scale)
    # folded into scale and offset in double precision; Mul and Add would do, but engines know
    # how to put this one into their convolutions
    parts = [Value.constant(array.astype(np.float32), f"{operator.name}_{name}")
             for name, array in (("scale", scale), ("offset", offset), ("mean", zeros),
                                 ("variance", ones))]
    return [writer.node("BatchNormalization", [inputs[0], *parts], operator.name, operator.shape,
                        epsilon=0.0)]


def affine(operator: Operator, inputs: Sequence[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale and offset, float64, that a batch normalisation comes down to."""
    gamma, beta, mean, variance = (_array(operator, value) for value in inputs[1:5])
    if operator.attrs.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + operator.attrs.number("eps", 1e-3))
    return scale, beta - mean * scale


def _array(operator: Operator, value: Value) -> np.ndarray:
    if value.array is None:
        raise unsupported(operator, "its parameters are computed from the image")
    return value.array.astype(np.float64)


@translates("FullyConnected")
def fully_connected(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a dense layer as a matrix product, of all dimensions behind the first by default."""
    data, weight, *bias = inputs
    if operator.attrs.flag("flatten", True):
        data = writer.node("Flatten", [data], f"{operator.name}_flat", axis=1)
        return [writer.node("Gemm", [data, weight, *bias], operator.name, operator.shape,
                            transB=1)]
    turned = writer.node("Transpose", [weight], f"{operator.name}_turned", perm=[1, 0])
    product = writer.node("MatMul", [data, turned], f"{operator.name}_product", operator.shape)
    return [writer.node("Add", [product, *bias], operator.name, operator.shape)
            if bias else product]


@translates("Pooling", "Pooling_v1")
def pooling(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a pooling; where MXNet's convention makes a larger map, the padding says so."""
    attrs, (data,) = operator.attrs, inputs
    kind = attrs.text("pool_type", "max")
    if kind not in ("max", "avg"):
        raise unsupported(operator, f"it pools by {kind!r}, not by maximum or average")
    if attrs.flag("global_pool"):
        op = "GlobalMaxPool" if kind == "max" else "GlobalAveragePool"
        return [writer.node(op, [data], operator.name, operator.shape)]
    pads = _pooling_pads(operator, data)
    window = _window(operator, pads)
    if kind == "max":
        return [writer.node("MaxPool", [data], operator.name, operator.shape, **window)]
    counted = attrs.flag("count_include_pad", True)
    pooled = writer.node("AveragePool", [data], operator.name, operator.shape, **window,
                         count_include_pad=int(counted))
    share = _counted_share(operator, data, pads) if counted else None
    if share is None:
        return [pooled]
    scale = Value.constant(share, f"{operator.name}_counted")
    return [writer.node("Mul", [pooled, scale], f"{operator.name}_corrected", operator.shape)]


def _window(operator: Operator, pads: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    attrs: Attributes = operator.attrs
    if len(attrs.sequence("kernel")) != 2:
        raise unsupported(operator, "its kernel has not two dimensions")
    return {"kernel_shape": attrs.pair("kernel", 1), "strides": attrs.pair("stride", 1),
            "pads": pads}


def _pooling_pads(operator: Operator, data: Value) -> tuple[int, ...]:
    """Return ONNX's pads (top, left, bottom, right) that make a map of the size that MXNet makes.

    With the convention ``full`` the last window may lie partly beyond the padding.
    """
    attrs = operator.attrs
    before = attrs.pair("pad", 0)
    after = [(out - 1) * stride + kernel - size - first for out, stride, kernel, size, first in
             zip(operator.shape.sizes[2:], attrs.pair("stride", 1), attrs.pair("kernel", 1),
                 data.sizes[2:], before)]
    # less than the padding on the other side: the last pixels fit no further window
    return (*before, *(max(each, 0) for each in after))


def _counted_share(operator: Operator, data: Value, pads: tuple[int, ...]) -> np.ndarray | None:
    """Return what an average is to be multiplied by, (1, 1, h, w), where windows lie beyond.

    MXNet counts its own padding, but not what a window covers behind that; ONNX counts all.
    """
    attrs = operator.attrs
    shares = []
    for out, stride, kernel, size, before in zip(
            operator.shape.sizes[2:], attrs.pair("stride", 1), attrs.pair("kernel", 1),
            data.sizes[2:], attrs.pair("pad", 0)):
        starts = np.arange(out) * stride - before
        shares.append(kernel / (np.minimum(starts + kernel, size + before) - starts))
    share = np.multiply.outer(*shares)
    return None if (share == 1).all() else share[None, None].astype(np.float32)


