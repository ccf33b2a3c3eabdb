"""Bilinear resizing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, translates, unsupported

#: A side by what MXNet's modes make of it, without those that have a factor or another map.
SIDES = {"to_even_down": lambda side: side - side % 2, "to_even_up": lambda side: side + side % 2,
         "to_odd_down": lambda side: side - 1 + side % 2,
         "to_odd_up": lambda side: side + 1 - side % 2}


@translates("_contrib_BilinearResize2D")
def bilinear(node: Node) -> Compute:
    """Return a bilinear resize, whichever of MXNet's modes its new size comes from."""
    corners, mode = node.attrs.flag("align_corners", True), node.attrs.text("mode", "size")
    if mode not in (*SIDES, "size", "odd_scale", "like"):
        raise unsupported(node, f"its mode is {mode!r}")

    def compute(data: Tensor, like: Tensor | None = None) -> Tensor:
        sides = like.shape[2:] if mode == "like" and like is not None else _sides(node, data)
        for axis, side in zip((2, 3), () if corners else sides):
            if side == 1:  # MXNet takes the first cell, and not the middle
                data = data.narrow(axis, 0, 1)
        return functional.interpolate(data, tuple(sides), mode="bilinear", align_corners=corners)
    return compute


def _sides(node: Node, data: Tensor) -> Sequence[int]:
    """Return the new height and width."""
    attrs, mode, before = node.attrs, node.attrs.text("mode", "size"), data.shape[2:]
    if mode in SIDES:
        return [SIDES[mode](side) for side in before]
    if not attrs.given("scale_height"):
        return attrs.integer("height", 1), attrs.integer("width", 1)
    factors = attrs.number("scale_height"), attrs.number("scale_width")
    if mode == "size":
        return [int(side * factor) for side, factor in zip(before, factors)]
    return [int(side * factor) if side % 2 == 0 else int((side - 1) * factor) + 1
            for side, factor in zip(before, factors)]


@translates("_contrib_AdaptiveAvgPooling2D")
def adaptive(node: Node) -> Compute:
    """Return averages over a given number of windows."""
    sides = node.attrs.sequence("output_size") or (1,)
    return lambda data: functional.adaptive_avg_pool2d(data, (sides[0], sides[-1]))


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
