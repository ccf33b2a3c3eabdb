"""Pooling: maxima, averages and sums of windows, or of whole maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.operators.convolutions import window
from ssdreg_torch.translation import Compute, translates, unsupported

MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
KINDS = ("max", "avg", "sum")
CONVENTIONS = ("valid", "full", "same")


@translates("Pooling", "Pooling_v1")
def pooling(node: Node) -> Compute:
    """Return a pooling; a larger map by the conventions ``full`` and ``same`` becomes padding."""
    attrs = node.attrs
    kind, convention = attrs.text("pool_type", "max"), attrs.text("pooling_convention", "valid")
    if kind not in KINDS:
        raise unsupported(node, f"it pools by {kind!r}; there are {', '.join(KINDS)}")
    if convention not in CONVENTIONS:
        raise unsupported(node, f"its convention is {convention!r}")
    if attrs.flag("global_pool"):
        return _global(kind)
    kernel, stride = window(node)
    before = attrs.extent("pad", len(kernel), 0)
    first_version = node.op == "Pooling_v1"
    if first_version and kind == "max" and any(before):
        raise unsupported(node, "its maxima count the padding as zeros")
    if kind == "max":
        return _maxima(kernel, stride, before, convention)
    if kind == "sum" or first_version:
        return _sums(kernel, stride, before, convention,
                     divided=1 if kind == "sum" else math.prod(kernel))
    return _averages(kernel, stride, before, convention,
                     counts_padding=attrs.flag("count_include_pad", True))


def _global(kind: str) -> Compute:
    """Return the maximum, average or sum of a whole map."""
    kinds: dict[str, Callable[..., Tensor]] = {
        "max": torch.amax, "avg": torch.mean, "sum": torch.sum}
    reduce = kinds[kind]
    return lambda data: reduce(data, tuple(range(2, data.ndim)), keepdim=True)


def _outputs(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
             before: Sequence[int], convention: str) -> list[int]:
    """Return how many windows there are along each side."""
    if convention == "same":
        return [-(-size // step) for size, step in zip(sizes, stride)]
    rounding = math.ceil if convention == "full" else math.floor
    return [1 + rounding((size + 2 * pad - side) / step)
            for size, side, step, pad in zip(sizes, kernel, stride, before)]


def beyond(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
            before: Sequence[int], convention: str) -> list[int]:
    """Return the padding after the last cell that the windows reach, negative where cells stay."""
    outputs = _outputs(sizes, kernel, stride, before, convention)
    return [(out - 1) * step + side - size - pad for out, step, side, size, pad
            in zip(outputs, stride, kernel, sizes, before)]


def _padded(data: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    sides = [side for pair in zip(reversed(before), reversed(after)) for side in pair]
    return functional.pad(data, sides, value=value) if any(sides) else data


def _maxima(kernel: tuple[int, ...], stride: tuple[int, ...], before: tuple[int, ...],
            convention: str) -> Compute:
    pool = MAXIMA[len(kernel)]

    def compute(data: Tensor) -> Tensor:
        after = beyond(data.shape[2:], kernel, stride, before, convention)
        # PyTorch's own padding holds where the map ends no later than it does
        if all(last <= first <= side // 2 for first, last, side in zip(before, after, kernel)):
            return pool(data, kernel, stride, before)
        # what MXNet returns for a window in the padding alone
        least = torch.finfo(data.dtype).min
        return pool(_padded(data, before, after, least), kernel, stride)
    return compute


def _sums(kernel: tuple[int, ...], stride: tuple[int, ...], before: tuple[int, ...],
          convention: str, divided: int) -> Compute:
    pool, factor = AVERAGES[len(kernel)], math.prod(kernel) / divided

    def compute(data: Tensor) -> Tensor:
        after = beyond(data.shape[2:], kernel, stride, before, convention)
        pooled = pool(_padded(data, before, after, 0.0), kernel, stride)
        return pooled if factor == 1 else pooled * factor
    return compute


def _averages(kernel: tuple[int, ...], stride: tuple[int, ...], before: tuple[int, ...],
              convention: str, counts_padding: bool) -> Compute:
    """Return averages over the cells of a window, its padding too where that counts.

    Cells beyond the padding, which windows of the convention ``full`` reach, never count. (The
    gradient that MXNet takes in float32 counts them; this one is the derivative, as MXNet's is in
    float64.)
    """
    pool = AVERAGES[len(kernel)]

    def compute(data: Tensor) -> Tensor:
        sizes = data.shape[2:]
        after = beyond(sizes, kernel, stride, before, convention)
        if counts_padding and all(last <= first <= side // 2
                                  for first, last, side in zip(before, after, kernel)):
            return pool(data, kernel, stride, before)
        pooled = pool(_padded(data, before, after, 0.0), kernel, stride)
        for axis, (out, size) in enumerate(zip(pooled.shape[2:], sizes)):
            starts = torch.arange(out, device=data.device) * stride[axis] - before[axis]
            ends = starts + kernel[axis]
            if counts_padding:
                cells = ends.clamp(max=size + before[axis]) - starts
            else:
                cells = ends.clamp(max=size) - starts.clamp(min=0)
            share = kernel[axis] / cells.to(pooled.dtype)
            pooled = pooled * share.reshape(-1, *[1] * (len(kernel) - axis - 1))
        return pooled
    return compute


@translates("_contrib_AdaptiveAvgPooling2D")
def adaptive(node: Node) -> Compute:
    """Return averages over a given number of windows."""
    sides = node.attrs.sequence("output_size") or (1,)
    return lambda data: functional.adaptive_avg_pool2d(data, (sides[0], sides[-1]))
