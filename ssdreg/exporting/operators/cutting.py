"""Operators that cut values: into parts, at their sides, or to the size of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator, Shape
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer

#: Means "to the end" in a Slice.
_END = np.iinfo(np.int64).max


@translates("SliceChannel")
def split(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a split into equal parts."""
    attrs = operator.attrs
    axis, parts = attrs.integer("axis", 1), attrs.integer("num_outputs")
    sizes = [inputs[0].sizes[axis] // parts] * parts
    return _split(operator, inputs[0], axis, sizes, writer)


@translates("_split_v2")
def split_v2(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a split into equal parts, or before given indices; the first of these is always 0."""
    attrs = operator.attrs
    axis, parts = attrs.integer("axis", 1), attrs.integer("sections")
    length = inputs[0].sizes[axis]
    if parts:
        return _split(operator, inputs[0], axis, [length // parts] * parts, writer)
    indices = [index % length if index < 0 else min(index, length)
               for index in attrs.sequence("indices")]
    sizes = [after - before for before, after in zip(indices, [*indices[1:], length])]
    return _split(operator, inputs[0], axis, sizes, writer)


def _split(operator: Operator, value: Value, axis: int, sizes: Sequence[int],
           writer: Writer) -> list[Value]:
    _refuse_batch(operator, value, axis)
    name, squeezed = operator.name, operator.attrs.flag("squeeze_axis")
    shapes = operator.outputs
    parts = [value] if len(sizes) == 1 else writer.node_of(
        "Split", [value, writer.integers(sizes, f"{name}_sizes")], name, shapes, axis=axis)
    if not squeezed:
        return parts
    place = writer.integers([axis], f"{name}_axis")
    return [writer.node("Squeeze", [part, place], f"{name}_{index}_squeezed", shape)
            for index, (part, shape) in enumerate(zip(parts, shapes))]


@translates("slice")
def slice_(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut along several axes."""
    begins, ends = operator.attrs.sequence("begin"), operator.attrs.sequence("end")
    steps = operator.attrs.sequence("step") or (None,) * len(begins)
    cuts = [(axis, begin, end, step or 1)
            for axis, (begin, end, step) in enumerate(zip(begins, ends, steps))
            if (begin or 0, end, step or 1) != (0, None, 1)]
    return [_slice(writer, inputs[0], cuts, operator)]


@translates("slice_axis")
def slice_axis(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut along one axis."""
    axis = operator.attrs.integer("axis") % len(inputs[0].sizes)
    (end,) = operator.attrs.sequence("end", (None,))
    return [_slice(writer, inputs[0], [(axis, operator.attrs.integer("begin"), end, 1)],
                   operator)]


@translates("slice_like")
def slice_like(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut to the size of another value, along all axes or some."""
    rank = len(inputs[0].sizes)
    axes = [axis % rank for axis in operator.attrs.sequence("axes")] or range(rank)
    cuts = [(axis, 0, inputs[1].sizes[axis], 1) for axis in axes
            if inputs[0].sizes[axis] != inputs[1].sizes[axis]]
    return [_slice(writer, inputs[0], cuts, operator)]


@translates("Crop")
def crop(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut of a map to a height and width, in its middle or from an offset."""
    sizes, out_sizes = inputs[0].sizes[2:], operator.shape.sizes[2:]
    begins = operator.attrs.sequence("offset") or (0, 0)
    if operator.attrs.flag("center_crop"):
        begins = tuple((size - out_size) // 2 for size, out_size in zip(sizes, out_sizes))
    cuts = [(axis, begin, begin + out_size, 1)
            for axis, begin, out_size in zip((2, 3), begins, out_sizes)]
    return [_slice(writer, inputs[0], cuts, operator)]


def _slice(writer: Writer, value: Value, cuts: Sequence[tuple[int, int | None, int | None, int]],
           operator: Operator) -> Value:
    """Write cuts: (axis, begin, end, step) each; None stands for an end of the axis."""
    if not cuts:
        return value
    for axis, *_ in cuts:
        _refuse_batch(operator, value, axis)
    axes, begins, ends, steps = zip(*(
        (axis, (0 if step > 0 else _END) if begin is None else begin,
         (_END if step > 0 else -_END) if end is None else end, step)
        for axis, begin, end, step in cuts))
    parts = [writer.integers(part, f"{operator.name}_{label}") for part, label in (
        (begins, "begins"), (ends, "ends"), (axes, "axes"), (steps, "steps"))]
    return writer.node("Slice", [value, *parts], operator.name, operator.shape)


def _refuse_batch(operator: Operator, value: Value, axis: int) -> None:
    shape: Shape = value.shape
    if shape.follows[axis]:
        raise unsupported(operator, "it cuts along the batch")
