"""Convolutions and dense layers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, translates, unsupported

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d,
              3: functional.conv_transpose3d}


def window(node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return kernel and stride of a convolution or pooling of one to three dimensions."""
    kernel = node.attrs.sequence("kernel")
    if not node.attrs.text("layout", "NC").startswith("NC"):
        raise unsupported(node, f"its layout is {node.attrs.text('layout')}, and channels have to "
                                f"come before places")
    if len(kernel) not in CONVOLVE:
        raise unsupported(node, f"its kernel is {kernel}")
    return kernel, node.attrs.extent("stride", len(kernel), 1)


@translates("Convolution", "Convolution_v1")
def convolution(node: Node) -> Compute:
    """Return a convolution."""
    (kernel, stride), attrs = window(node), node.attrs
    rank, convolve = len(kernel), CONVOLVE[len(kernel)]
    pad, dilate = attrs.extent("pad", rank, 0), attrs.extent("dilate", rank, 1)
    groups = attrs.integer("num_group", 1)

    def compute(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return convolve(data, weight, bias, stride, pad, dilate, groups)

    def compute_wide(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if data.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return compute(data, weight, bias)
        with torch.autocast("cpu", enabled=False):
            wide = compute(data.float(), weight, bias)
        return wide.to(torch.get_autocast_dtype("cpu"))
    # oneDNN has no fast backward pass for these in bfloat16: up to forty times that of float32
    slow = groups > 1 and (max(stride) > 1 or max(kernel) > 3)
    return compute_wide if slow else compute


@translates("Deconvolution")
def deconvolution(node: Node) -> Compute:
    """Return a transposed convolution; a target shape overrides its padding."""
    (kernel, stride), attrs = window(node), node.attrs
    rank, transposed = len(kernel), TRANSPOSED[len(kernel)]
    pad, dilate = attrs.extent("pad", rank, 0), attrs.extent("dilate", rank, 1)
    more, groups = attrs.extent("adj", rank, 0), attrs.integer("num_group", 1)
    target = attrs.sequence("target_shape")

    def compute(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not any(target):
            return transposed(data, weight, bias, stride, pad, more, groups, dilate)
        excess = [(size - 1) * step + spread * (side - 1) + 1 - out
                  for size, step, spread, side, out in zip(
                      data.shape[2:], stride, dilate, kernel, target)]
        before = tuple((crop + 1) // 2 for crop in excess)
        after = tuple(2 * first - crop for first, crop in zip(before, excess))
        return transposed(data, weight, bias, stride, before, after, groups, dilate)
    return compute


@translates("FullyConnected")
def fully_connected(node: Node) -> Compute:
    """Return a dense layer, of all dimensions behind the first by default."""
    flatten = node.attrs.flag("flatten", True)

    def compute(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.linear(data.flatten(1) if flatten else data, weight, bias)
    return compute
