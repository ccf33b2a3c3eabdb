"""Reductions over axes, indices of extremes, orders, and cumulative sums."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.across import processes, total
from ssdreg_torch.precision import DTYPES
from ssdreg_torch.translation import Compute, translates, unsupported


def _product(data: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        data = torch.prod(data, axis, keepdim=keepdim)
    return data


def _length(data: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return torch.linalg.vector_norm(data, dim=axes, keepdim=keepdim)


def _sizes(data: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return torch.sum(torch.abs(data), axes, keepdim=keepdim)


REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean, "sum": torch.sum, "max": torch.amax, "min": torch.amin, "prod": _product}


@translates(*REDUCTIONS)
def reduction(node: Node) -> Compute:
    """Return a mean, sum, product or extreme over axes.

    Equal extremes share their gradient; in MXNet each has all of it. A sum or mean of the images of
    a batch is that of all processes' where the node says so.
    """
    reduced, attrs = _reduce(node, REDUCTIONS[node.op]), node.attrs
    count = processes(attrs)
    if count == 1:
        return reduced
    if node.op == "mean":
        return lambda data: total(reduced(data), attrs) / count
    return lambda data: total(reduced(data), attrs)


@translates("norm")
def norm(node: Node) -> Compute:
    """Return the sum of absolute values, or the root of the sum of squares."""
    return _reduce(node, _length if node.attrs.integer("ord", 2) == 2 else _sizes)


def _reduce(node: Node, reduce: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    given, keep = node.attrs.sequence("axis"), node.attrs.flag("keepdims")
    exclude = node.attrs.flag("exclude")

    def compute(data: Tensor) -> Tensor:
        axes = sorted({axis % data.ndim for axis in given})
        if not axes or exclude:
            axes = [axis for axis in range(data.ndim) if axis not in axes]
        if not axes:
            return data
        reduced = reduce(data, axes, keepdim=keep)
        return reduced.reshape(1) if reduced.ndim == 0 else reduced
    return compute


@translates("argmax", "argmin")
def arg_extreme(node: Node) -> Compute:
    """Return the index of the first extreme along an axis, as a floating-point number."""
    find = torch.argmax if node.op == "argmax" else torch.argmin
    axis = node.attrs.integer("axis") if node.attrs.given("axis") else None
    keep = node.attrs.flag("keepdims")

    def compute(data: Tensor) -> Tensor:
        index = find(data, axis, keepdim=keep).to(data.dtype)
        return index.reshape(1) if index.ndim == 0 else index
    return compute


@translates("argsort")
def argsort(node: Node) -> Compute:
    """Return the indices that sort an axis, as floating-point numbers; equals keep their order."""
    attrs, dtype = node.attrs, node.attrs.text("dtype", "float32")
    if attrs.texts.get("axis") == "None":
        raise unsupported(node, "it sorts all values as one, equals in an order of its own")
    if dtype not in DTYPES:
        raise unsupported(node, f"it makes {dtype}")
    axis, falls = attrs.integer("axis", -1), not attrs.flag("is_ascend", True)
    return lambda data: data.detach().argsort(dim=axis, descending=falls,
                                              stable=True).to(DTYPES[dtype])


@translates("_np_cumsum")
def cumulative_sum(node: Node) -> Compute:
    """Return running sums along an axis, or over all."""
    axis = node.attrs.integer("axis") if node.attrs.given("axis") else None
    return lambda data: (torch.cumsum(data.flatten(), 0) if axis is None
                         else torch.cumsum(data, axis))
