"""Operators that cut values: into parts, at their sides, or to the size of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, translates


@translates("SliceChannel")
def split(node: Node) -> Compute:
    """Return equal parts."""
    return _parts(node, node.attrs.integer("num_outputs"))


@translates("_split_v2")
def split_v2(node: Node) -> Compute:
    """Return equal parts, or those before given indices; the first of these is always 0."""
    attrs = node.attrs
    if attrs.integer("sections"):
        return _parts(node, attrs.integer("sections"))
    axis, squeezed = attrs.integer("axis", 1), attrs.flag("squeeze_axis")
    indices = list(attrs.sequence("indices"))[1:]

    def compute(data: Tensor) -> list[Tensor]:
        parts = torch.tensor_split(data, indices, axis)
        return [part.squeeze(axis) if squeezed else part for part in parts]
    return compute


def _parts(node: Node, count: int) -> Compute:
    axis, squeezed = node.attrs.integer("axis", 1), node.attrs.flag("squeeze_axis")

    def compute(data: Tensor) -> list[Tensor]:
        parts = torch.split(data, data.shape[axis] // count, axis)
        return [part.squeeze(axis) if squeezed else part for part in parts]
    return compute


@translates("slice")
def slice_(node: Node) -> Compute:
    """Return a cut along several axes."""
    begins, ends = node.attrs.sequence("begin"), node.attrs.sequence("end")
    steps = node.attrs.sequence("step") or (None,) * len(begins)
    cuts = list(zip(begins, ends, (step or 1 for step in steps)))

    def compute(data: Tensor) -> Tensor:
        for axis, (begin, end, step) in enumerate(cuts):
            data = _cut(data, axis, begin, end, step)
        return data
    return compute


def _cut(data: Tensor, axis: int, begin: int | None, end: int | None, step: int) -> Tensor:
    """Return a cut as Python's slices are; PyTorch's own take no step back."""
    first, last, step = slice(begin, end, step).indices(data.shape[axis])
    if step > 0:
        index: list[Any] = [slice(None)] * axis
        return data[(*index, slice(first, last, step))]
    places = torch.arange(first, last, step, device=data.device)
    return data.index_select(axis, places)


@translates("slice_axis")
def slice_axis(node: Node) -> Compute:
    """Return a cut along one axis."""
    axis, begin = node.attrs.integer("axis"), node.attrs.integer("begin")
    (end,) = node.attrs.sequence("end", (None,))
    return lambda data: _cut(data, axis % data.ndim, begin, end, 1)


@translates("slice_like")
def slice_like(node: Node) -> Compute:
    """Return a cut to the size of another value, along all axes or some."""
    axes = node.attrs.sequence("axes")

    def compute(data: Tensor, like: Tensor) -> Tensor:
        for axis in (axes or range(data.ndim)):
            data = data.narrow(axis, 0, like.shape[axis])
        return data
    return compute


@translates("Crop")
def crop(node: Node) -> Compute:
    """Return a cut of a map to a height and width, in its middle or from an offset."""
    attrs = node.attrs
    offset, central = attrs.sequence("offset") or (0, 0), attrs.flag("center_crop")

    def compute(data: Tensor, like: Tensor | None = None) -> Tensor:
        sides: Sequence[int] = attrs.sequence("h_w") if like is None else like.shape[2:]
        begins = ([(size - side) // 2 for size, side in zip(data.shape[2:], sides)] if central
                  else offset)
        return data.narrow(2, begins[0], sides[0]).narrow(3, begins[1], sides[1])
    return compute
