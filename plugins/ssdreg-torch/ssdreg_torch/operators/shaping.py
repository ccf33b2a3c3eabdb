"""Operators that change shapes or the order of axes, concatenate, repeat and pad."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, translates, unsupported

PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}
# Codes in the shape of a Reshape that stand for sizes of the value.
SAME, REST, ALL, MERGED, DIVIDED = 0, -1, -2, -3, -4


@translates("Flatten")
def flatten(node: Node) -> Compute:
    """Return all dimensions behind the first as one."""
    return lambda data: data.flatten(1)


@translates("Reshape")
def reshape(node: Node) -> Compute:
    """Return another shape, with MXNet's codes."""
    codes, backwards = node.attrs.sequence("shape"), node.attrs.flag("reverse")
    return lambda data: data.reshape(
        reshaped(data.shape[::-1], codes[::-1])[::-1] if backwards
        else reshaped(data.shape, codes))


def reshaped(sizes: Sequence[int], codes: Sequence[int]) -> list[int]:
    """Return the sizes that the codes of a Reshape stand for.

    0 keeps a size, -1 is what is left, -2 keeps all that follow, -3 multiplies two, and -4 divides
    one into the two that follow it.
    """
    shape: list[int] = []
    at = place = 0
    while place < len(codes):
        code = codes[place]
        if code == ALL:
            shape.extend(sizes[at:])
            at = len(sizes)
        elif code == MERGED:
            shape.append(sizes[at] * sizes[at + 1])
            at += 2
        elif code == DIVIDED:
            first, second = codes[place + 1:place + 3]
            shape.extend((sizes[at] // second if first == REST else first,
                          sizes[at] // first if second == REST else second))
            at, place = at + 1, place + 2
        else:
            shape.append(sizes[at] if code == SAME else code)
            at += 1
        place += 1
    if REST in shape:
        shape[shape.index(REST)] = math.prod(sizes) // -math.prod(shape)
    return shape


@translates("reshape_like")
def reshape_like(node: Node) -> Compute:
    """Return the shape of another value, or of some of its axes."""
    attrs = node.attrs
    if any(attrs.given(name) for name in ("lhs_begin", "lhs_end", "rhs_begin", "rhs_end")):
        raise unsupported(node, "it takes over some axes alone")
    return lambda data, like: data.reshape(like.shape)


@translates("expand_dims")
def expand_dims(node: Node) -> Compute:
    """Return a new axis of size 1."""
    axis = node.attrs.integer("axis")
    return lambda data: data.unsqueeze(axis)


@translates("squeeze")
def squeeze(node: Node) -> Compute:
    """Return a value without axes of size 1: all of them, or some."""
    axes = node.attrs.sequence("axis")
    return lambda data: data.squeeze(axes) if axes else data.squeeze()


@translates("transpose")
def transpose(node: Node) -> Compute:
    """Return another order of axes, by default the reverse."""
    axes = node.attrs.sequence("axes")
    return lambda data: data.permute(*(axes or reversed(range(data.ndim))))


@translates("SwapAxis")
def swap_axes(node: Node) -> Compute:
    """Return an exchange of two axes."""
    first, second = node.attrs.integer("dim1"), node.attrs.integer("dim2")
    return lambda data: data.transpose(first, second)


@translates("Concat")
def concat(node: Node) -> Compute:
    """Return a concatenation."""
    axis = node.attrs.integer("dim", 1)
    return lambda *parts: torch.cat(parts, axis)


@translates("stack")
def stack(node: Node) -> Compute:
    """Return a concatenation along a new axis."""
    axis = node.attrs.integer("axis")
    return lambda *parts: torch.stack(parts, axis)


@translates("reverse")
def reverse(node: Node) -> Compute:
    """Return axes the other way round."""
    axes = node.attrs.sequence("axis")
    return lambda data: data.flip(axes)


@translates("Pad")
def pad(node: Node) -> Compute:
    """Return a map with a border."""
    widths, value = node.attrs.sequence("pad_width"), node.attrs.number("constant_value")
    mode = PAD_MODES[node.attrs.text("mode", "constant")]
    if any(widths[:4]):
        raise unsupported(node, "it pads images or channels")
    # PyTorch begins with the last axis
    sides = [width for axis in range(len(widths) // 2 - 1, 1, -1)
             for width in widths[2 * axis:2 * axis + 2]]
    return lambda data: functional.pad(data, sides, mode, value if mode == "constant" else None)


@translates("tile")
def tile(node: Node) -> Compute:
    """Return a value several times beside itself, along each axis."""
    times = node.attrs.sequence("reps")
    return lambda data: torch.tile(data, times)


@translates("repeat")
def repeat(node: Node) -> Compute:
    """Return each cell of an axis, or of all, several times in a row."""
    times = node.attrs.integer("repeats")
    axis = node.attrs.integer("axis") if node.attrs.given("axis") else None
    return lambda data: torch.repeat_interleave(data, times, axis)


@translates("broadcast_to")
def broadcast_to(node: Node) -> Compute:
    """Return a value repeated along the axes that it has the size 1 in; 0 keeps a size."""
    shape = [size or -1 for size in node.attrs.sequence("shape")]
    return lambda data: data.expand(shape)


@translates("broadcast_axis")
def broadcast_axis(node: Node) -> Compute:
    """Return a value repeated along some axes."""
    axes, sizes = node.attrs.sequence("axis"), node.attrs.sequence("size")

    def compute(data: Tensor) -> Tensor:
        shape = [-1] * data.ndim
        for axis, size in zip(axes, sizes):
            shape[axis] = size
        return data.expand(shape)
    return compute


@translates("broadcast_like")
def broadcast_like(node: Node) -> Compute:
    """Return a value repeated to the shape of another, along all axes or some."""
    axes, theirs = node.attrs.sequence("lhs_axes"), node.attrs.sequence("rhs_axes")

    def compute(data: Tensor, like: Tensor) -> Tensor:
        shape = [-1] * data.ndim if axes else list(like.shape)
        for axis, their in zip(axes, theirs):
            shape[axis] = like.shape[their]
        return data.expand(shape)
    return compute


@translates("depth_to_space")
def depth_to_space(node: Node) -> Compute:
    """Return channels as blocks of cells."""
    side = node.attrs.integer("block_size")

    def compute(data: Tensor) -> Tensor:
        batch, channels, height, width = data.shape
        parts = data.reshape(batch, side, side, channels // side ** 2, height, width)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * side, width * side)
    return compute


@translates("space_to_depth")
def space_to_depth(node: Node) -> Compute:
    """Return blocks of cells as channels."""
    side = node.attrs.integer("block_size")

    def compute(data: Tensor) -> Tensor:
        batch, channels, height, width = data.shape
        parts = data.reshape(batch, channels, height // side, side, width // side, side)
        return torch.reshape(parts.permute(0, 3, 5, 1, 2, 4),
                             (batch, -1, height // side, width // side))
    return compute
