"""Convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer


@translates("Convolution", "Convolution_v1")
def convolution(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a convolution as Conv."""
    pads = operator.attrs.extent("pad", len(operator.shape.sizes) - 2, 0)
    return [writer.node("Conv", inputs, operator.name, operator.shape, pads=(*pads, *pads),
                        **window(operator), **dilated_groups(operator))]


@translates("Deconvolution")
def deconvolution(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a transposed convolution as ConvTranspose."""
    attrs, sides = operator.attrs, operator.shape.sizes[2:]
    settings = {**window(operator), **dilated_groups(operator)}
    # the part of the full result beyond the output's size is cut off as padding
    excess = [(size - 1) * stride + dilate * (kernel - 1) + 1 - out for
              size, stride, dilate, kernel, out in zip(
                  inputs[0].sizes[2:], settings["strides"], settings["dilations"],
                  settings["kernel_shape"], sides)]
    # target_shape, 0 where it is not set, overrides the padding
    before = (tuple((crop + 1) // 2 for crop in excess) if any(attrs.sequence("target_shape"))
              else attrs.extent("pad", len(sides), 0))
    after = [total - before_crop for total, before_crop in zip(excess, before)]
    return [writer.node("ConvTranspose", inputs, operator.name, operator.shape, **settings,
                        output_padding=[max(0, -crop) for crop in after],
                        pads=(*before, *(max(0, crop) for crop in after)))]


def window(operator: Operator) -> dict[str, tuple[int, ...]]:
    """Return ``kernel_shape`` and ``strides`` of a convolution or pooling of any rank."""
    attrs, rank = operator.attrs, len(operator.shape.sizes) - 2
    kernel = attrs.sequence("kernel")
    if not attrs.text("layout", "NC").startswith("NC"):
        raise unsupported(operator, f"its layout is {attrs.text('layout')}, and channels have to "
                                    f"come before places")
    if len(kernel) != rank:
        raise unsupported(operator, f"its kernel {kernel} is not one for {rank} dimensions")
    return {"kernel_shape": kernel, "strides": attrs.extent("stride", rank, 1)}


def dilated_groups(operator: Operator) -> dict[str, Any]:
    """Return ``dilations`` and ``group`` of a convolution."""
    return {"dilations": operator.attrs.extent("dilate", len(operator.shape.sizes) - 2, 1),
            "group": operator.attrs.integer("num_group", 1)}


@translates("FullyConnected")
def fully_connected(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a dense layer as a matrix product, of all dimensions behind the first by default."""
    data, weight, *bias = inputs
    name = operator.name
    if operator.attrs.flag("flatten", True):
        if len(data.sizes) != 2:
            data = writer.node("Flatten", [data], f"{name}_flat", axis=1)
        return [writer.node("Gemm", [data, weight, *bias], name, operator.shape, transB=1)]
    transposed = (writer.node("Transpose", [weight], f"{name}_turned", perm=[1, 0])
                  if weight.array is None else Value.constant(weight.array.T, f"{name}_turned"))
    if not bias:
        return [writer.node("MatMul", [data, transposed], name, operator.shape)]
    product = writer.node("MatMul", [data, transposed], f"{name}_product", operator.shape)
    return [writer.node("Add", [product, *bias], name, operator.shape)]
