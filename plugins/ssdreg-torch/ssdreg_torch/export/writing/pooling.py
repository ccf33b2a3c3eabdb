"""Pooling: maxima, averages and sums of windows, or of whole maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssdreg_torch.export.code import PRODUCT, Code, Site, call, extent, number, unwritten, writes
from ssdreg_torch.operators.convolutions import window
from ssdreg_torch.operators.pooling import CONVENTIONS, beyond

_KINDS = ("max", "avg", "sum")


@writes("Pooling", "Pooling_v1")
def pooling(site: Site) -> Code:
    """Write a pooling; ``full`` and ``same`` are ``ceil_mode`` where windows are as many then."""
    node, attrs = site.node, site.node.attrs
    kind, convention = attrs.text("pool_type", "max"), attrs.text("pooling_convention", "valid")
    if kind not in _KINDS or convention not in CONVENTIONS:
        raise unwritten(node, f"it pools by {kind!r}, and by the convention {convention!r}")
    if attrs.flag("global_pool"):
        reduce = {"max": "amax", "avg": "mean", "sum": "sum"}[kind]
        axes = tuple(range(2, site.rank()))
        return call(f"{site.inputs[0].atom}.{reduce}", axes, keepdim=True)
    kernel, stride = window(node)
    rank, before = len(kernel), attrs.extent("pad", len(kernel), 0)
    if node.op == "Pooling_v1" and (kind != "max" or any(before)):
        raise unwritten(node, "its windows at the sides count the padding")
    if kind == "sum":
        raise unwritten(node, "it sums, which PyTorch has no layer for")
    sizes = _sizes(site)
    after = beyond(sizes, kernel, stride, before, convention)
    function = f"F.{kind}_pool{rank}d"
    arguments: dict[str, object] = {} if stride == kernel else {"stride": extent(stride)}
    counted = attrs.flag("count_include_pad", True)
    data = site.inputs[0]
    if convention != "valid":
        arguments["ceil_mode"] = True
    if not _pads_alike(sizes, kernel, stride, before, after, convention):
        if kind == "avg":
            raise unwritten(node, "its averages reach beyond the padding")
        # what MXNet has for the maximum of nothing
        data = call("F.pad", data, list(_sides(before, after)),
                    value=f"torch.finfo({data.atom}.dtype).min")
        arguments.pop("ceil_mode", None)
    elif any(before):
        arguments["padding"] = extent(before)
        if kind == "avg" and not counted:
            arguments["count_include_pad"] = False
    elif kind == "avg" and not counted and convention != "valid":
        arguments["count_include_pad"] = False
    return call(function, data, extent(kernel), **arguments)


def _sizes(site: Site) -> list[int]:
    site.rank()
    return [size or 1 for size in (site.shapes[0] or ())[2:]]


def _pads_alike(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
                before: Sequence[int], after: Sequence[int], convention: str) -> bool:
    """Tell whether PyTorch's own padding makes the same windows.

    It pads no more than half a window, and by ``ceil_mode`` leaves out a window that begins behind
    the last cell and the padding before the first.
    """
    if convention == "same" and any(before):
        return False
    for size, side, step, first, last in zip(sizes, kernel, stride, before, after):
        windows = (last + first + size - side) // step + 1
        rounding = math.floor if convention == "valid" else math.ceil
        theirs = rounding((size + 2 * first - side) / step) + 1
        if convention != "valid" and (theirs - 1) * step >= size + first:
            theirs -= 1
        if windows != theirs or first > side // 2:
            return False
    return True


def _sides(before: Sequence[int], after: Sequence[int]) -> list[int]:
    # PyTorch begins with the last axis
    return [side for pair in zip(reversed(before), reversed(after)) for side in pair]


@writes("_contrib_AdaptiveAvgPooling2D")
def adaptive(site: Site) -> Code:
    """Write averages over a given number of windows."""
    sides = site.node.attrs.sequence("output_size") or (1,)
    return call("F.adaptive_avg_pool2d", site.inputs[0], extent((sides[0], sides[-1])))


@writes("UpSampling")
def upsampling(site: Site) -> Code:
    """Write each cell as a square of cells."""
    if site.node.attrs.text("sample_type") == "bilinear" or len(site.inputs) != 1:
        raise unwritten(site.node, "it is bilinear, or joins several maps")
    return call("F.interpolate", site.inputs[0], scale_factor=site.node.attrs.integer("scale"))


@writes("_contrib_BilinearResize2D")
def bilinear(site: Site) -> Code:
    """Write a bilinear resize to a size, or to that of another map."""
    attrs = site.node.attrs
    corners, mode = attrs.flag("align_corners", True), attrs.text("mode", "size")
    if site.shape is None or None in site.shape[2:]:
        raise unwritten(site.node, "its new size is not known")
    sides = tuple(site.shape[2:])
    target = str(sides)
    if mode == "like" and len(site.inputs) > 1:
        target = f"{site.inputs[1].atom}.shape[2:]"
    if not corners and 1 in sides:
        # MXNet takes the first cell where one is left, and not the middle
        return call(site.helper("resize"), site.inputs[0], target, corners)
    return call("F.interpolate", site.inputs[0], target, mode='"bilinear"', align_corners=corners)


@writes("_contrib_div_sqrt_dim")
def div_sqrt_dim(site: Site) -> Code:
    """Write a quotient by the root of the last dimension, as attention has it."""
    shape = site.shapes[0]
    if shape is None or shape[-1] is None:
        raise unwritten(site.node, "the size of its last dimension is not known")
    return Code(f"{site.inputs[0].within(PRODUCT)} / {number(shape[-1] ** 0.5)}", PRODUCT)
