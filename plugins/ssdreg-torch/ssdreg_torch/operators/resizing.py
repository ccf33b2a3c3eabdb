"""Operators that resize maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.functions import resize
from ssdreg_torch.translation import Compute, translates, unsupported

#: A side by what MXNet's modes make of it, without those that have a factor or another map.
SIDES = {"to_even_down": lambda side: side - side % 2, "to_even_up": lambda side: side + side % 2,
         "to_odd_down": lambda side: side - 1 + side % 2,
         "to_odd_up": lambda side: side + 1 - side % 2}


@translates("UpSampling")
def upsampling(node: Node) -> Compute:
    """Return each cell as a square of cells, or a transposed convolution for ``bilinear``."""
    scale = node.attrs.integer("scale")
    if node.attrs.text("sample_type") == "bilinear":
        pad = math.ceil((scale - 1) / 2)
        return lambda data, weight: functional.conv_transpose2d(
            data, weight, None, scale, pad, 0, data.shape[1])
    if len(node.inputs) != 1:
        raise unsupported(node, "it joins several maps")
    return lambda data: functional.interpolate(data, scale_factor=scale, mode="nearest")


@translates("_contrib_BilinearResize2D")
def bilinear(node: Node) -> Compute:
    """Return a bilinear resize, whichever of MXNet's modes its new size comes from."""
    corners, mode = node.attrs.flag("align_corners", True), node.attrs.text("mode", "size")
    if mode not in (*SIDES, "size", "odd_scale", "like"):
        raise unsupported(node, f"its mode is {mode!r}")

    def compute(data: Tensor, like: Tensor | None = None) -> Tensor:
        sides = like.shape[2:] if mode == "like" and like is not None else _sides(node, data)
        return resize(data, sides, corners)
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
