"""Operators that resize maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer


@translates("UpSampling")
def upsampling(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a nearest-neighbour upsampling, or a transposed convolution for ``bilinear``."""
    attrs, name, scale = operator.attrs, operator.name, operator.attrs.integer("scale")
    if attrs.text("sample_type") == "bilinear":
        data, weight = inputs
        side = 2 * scale - scale % 2
        before = math.ceil((scale - 1) / 2)
        return [writer.node("ConvTranspose", [data, weight], name, operator.shape,
                            kernel_shape=(side, side), strides=(scale, scale),
                            pads=(before,) * 4, group=data.sizes[1])]
    if len(inputs) != 1:
        raise unsupported(operator, "it joins several maps")
    factors = writer.constant(np.array([1, 1, scale, scale], np.float32), f"{name}_factors")
    return [writer.node("Resize", [inputs[0], "", factors], name, operator.shape, mode="nearest",
                        coordinate_transformation_mode="asymmetric", nearest_mode="floor")]


@translates("_contrib_BilinearResize2D")
def bilinear(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a bilinear resize, whichever of MXNet's modes its new size comes from."""
    name = operator.name
    corners = operator.attrs.flag("align_corners", True)
    data = inputs[0] if corners else _first_cells(inputs[0], operator, writer)
    # by sizes and not by factors, which rounding could turn into another size
    head = writer.node("Shape", [data], f"{name}_before", start=0, end=2)
    tail = writer.integers(operator.shape.sizes[2:], f"{name}_map")
    sizes = writer.node("Concat", [head, tail], f"{name}_sizes", axis=0)
    return [writer.node("Resize", [data, "", "", sizes], name, operator.shape, mode="linear",
                        coordinate_transformation_mode=(
                            "align_corners" if corners else "half_pixel"))]


def _first_cells(data: Value, operator: Operator, writer: Writer) -> Value:
    """Cut sides that become one cell to their first: MXNet takes that, and not the middle."""
    axes = [axis for axis in (2, 3)
            if operator.shape.sizes[axis] == 1 and data.sizes[axis] > 1]
    if not axes:
        return data
    parts = [writer.integers(part, f"{operator.name}_{label}") for part, label in (
        ([0] * len(axes), "begins"), ([1] * len(axes), "ends"), (axes, "axes"))]
    return writer.node("Slice", [data, *parts], f"{operator.name}_first")
