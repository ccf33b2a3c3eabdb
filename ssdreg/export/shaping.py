"""Operators that move, cut, join and enlarge, and that reduce axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.export.reading import Operator
from ssdreg.export.translation import translates, unsupported
from ssdreg.export.writer import Value, Writer

#: Means "to the end" in a Slice.
_END = np.iinfo(np.int64).max


@translates("Flatten", "flatten", "Reshape", "reshape", "expand_dims", "squeeze", "reshape_like",
            "_npx_reshape")
def reshape(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write any operator that only gives its values another shape: the inferred one."""
    sizes = operator.shape.of(writer.batch)
    if sizes.count(-1) > 1:
        raise unsupported(operator, "more than one dimension of its result grows with the batch")
    return [writer.node("Reshape", [inputs[0], writer.integers(sizes, f"{operator.name}_shape")],
                        operator.name, operator.shape)]


@translates("transpose")
def transpose(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a transposition."""
    rank = len(inputs[0].sizes)
    axes = operator.attrs.sequence("axes") or tuple(reversed(range(rank)))
    return [writer.node("Transpose", [inputs[0]], operator.name, operator.shape,
                        perm=[axis % rank for axis in axes])]


@translates("SwapAxis", "swapaxes")
def swap_axes(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write an exchange of two axes."""
    axes = list(range(len(inputs[0].sizes)))
    one, other = operator.attrs.integer("dim1"), operator.attrs.integer("dim2")
    axes[one], axes[other] = axes[other], axes[one]
    return [writer.node("Transpose", [inputs[0]], operator.name, operator.shape, perm=axes)]


@translates("Concat", "concat")
def concat(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a concatenation."""
    if len(inputs) == 1:
        return [inputs[0]]
    return [writer.node("Concat", inputs, operator.name, operator.shape,
                        axis=operator.attrs.integer("dim", 1))]


@translates("SliceChannel", "split")
def split(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut into equal parts."""
    axis = operator.attrs.integer("axis", 1)
    parts = operator.attrs.integer("num_outputs")
    size = inputs[0].sizes[axis] // parts
    found = []
    for index, shape in enumerate(operator.outputs):
        part = _slice(writer, inputs[0], [(axis, index * size, (index + 1) * size, 1)],
                      f"{operator.name}_{index}", operator)
        if operator.attrs.flag("squeeze_axis"):
            part = writer.node("Reshape", [part, writer.integers(
                shape.of(writer.batch), f"{operator.name}_{index}_shape")],
                f"{operator.name}_{index}_squeezed", shape)
        found.append(part)
    return found


@translates("slice", "crop")
def slice_(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut along several axes."""
    begins, ends = operator.attrs.sequence("begin"), operator.attrs.sequence("end")
    steps = operator.attrs.sequence("step") or (None,) * len(begins)
    cuts = [(axis, begin, end, step or 1)
            for axis, (begin, end, step) in enumerate(zip(begins, ends, steps))
            if (begin or 0, end, step or 1) != (0, None, 1)]
    return [_slice(writer, inputs[0], cuts, operator.name, operator)]


@translates("slice_axis")
def slice_axis(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut along one axis."""
    axis = operator.attrs.integer("axis") % len(inputs[0].sizes)
    (end,) = operator.attrs.sequence("end", (None,))
    return [_slice(writer, inputs[0], [(axis, operator.attrs.integer("begin"), end, 1)],
                   operator.name, operator)]


@translates("slice_like")
def slice_like(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut to the size of another value."""
    rank = len(inputs[0].sizes)
    axes = [axis % rank for axis in operator.attrs.sequence("axes")] or range(rank)
    cuts = [(axis, 0, inputs[1].sizes[axis], 1) for axis in axes
            if inputs[0].sizes[axis] != inputs[1].sizes[axis]]
    return [_slice(writer, inputs[0], cuts, operator.name, operator)]


@translates("Crop")
def crop(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a cut of a map to a height and width, in its middle or from an offset."""
    sizes, wanted = inputs[0].sizes[2:], operator.shape.sizes[2:]
    begins = operator.attrs.sequence("offset") or (0, 0)
    if operator.attrs.flag("center_crop"):
        begins = tuple((size - want) // 2 for size, want in zip(sizes, wanted))
    cuts = [(axis, begin, begin + want, 1)
            for axis, begin, want in zip((2, 3), begins, wanted)]
    return [_slice(writer, inputs[0], cuts, operator.name, operator)]


def _slice(writer: Writer, value: Value, cuts: Sequence[tuple[int, int | None, int | None, int]],
           name: str, operator: Operator) -> Value:
    """Write cuts: (axis, begin, end, step) each; None stands for an end of the axis."""
    if not cuts:
        return value
    if any(value.shape.follows[axis] for axis, *_ in cuts):
        raise unsupported(operator, "it cuts along the batch")
    axes, begins, ends, steps = zip(*(
        (axis, (0 if step > 0 else _END) if begin is None else begin,
         (_END if step > 0 else -_END) if end is None else end, step)
        for axis, begin, end, step in cuts))
    parts = [writer.integers(part, f"{name}_{label}") for part, label in (
        (begins, "begins"), (ends, "ends"), (axes, "axes"), (steps, "steps"))]
    return writer.node("Slice", [value, *parts], name, operator.outputs[0])


@translates("Pad", "pad")
def pad(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a border around a map."""
    widths = operator.attrs.sequence("pad_width")
    mode = operator.attrs.text("mode", "constant")
    pads = writer.integers([*widths[::2], *widths[1::2]], f"{operator.name}_widths")
    more = [writer.floats(operator.attrs.number("constant_value"), f"{operator.name}_value")
            ] if mode == "constant" else []
    return [writer.node("Pad", [inputs[0], pads, *more], operator.name, operator.shape,
                        mode=mode)]


@translates("UpSampling", "_contrib_BilinearResize2D")
def enlarge(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a map's new size: each cell repeated, or bilinear as the setting of corners says."""
    attrs, name = operator.attrs, operator.name
    if operator.op == "UpSampling":
        if attrs.text("sample_type") != "nearest" or attrs.integer("num_args", 1) != 1:
            raise unsupported(operator, "only one map, with repeated cells, can be enlarged")
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
               "nearest_mode": "floor"}
    else:
        how = {"mode": "linear", "coordinate_transformation_mode":
               "align_corners" if attrs.flag("align_corners", True) else "half_pixel"}
    # by sizes and not by factors, which rounding could turn into another size
    head = writer.node("Shape", [inputs[0]], f"{name}_before", start=0, end=2)
    tail = writer.integers(operator.shape.sizes[2:], f"{name}_map")
    sizes = writer.node("Concat", [head, tail], f"{name}_sizes", axis=0)
    return [writer.node("Resize", [inputs[0], "", "", sizes], name, operator.shape, **how)]


#: Operators that put axes together.
REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum", "sum_axis": "ReduceSum",
              "max": "ReduceMax", "max_axis": "ReduceMax", "min": "ReduceMin",
              "min_axis": "ReduceMin", "prod": "ReduceProd"}


@translates(*REDUCTIONS)
def reduction(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a mean, sum or extreme over axes."""
    rank = len(inputs[0].sizes)
    axes = [axis % rank for axis in operator.attrs.sequence("axis")] or list(range(rank))
    if operator.attrs.flag("exclude"):
        axes = [axis for axis in range(rank) if axis not in axes]
    op, keep = REDUCTIONS[operator.op], operator.attrs.flag("keepdims")
    if op == "ReduceSum":  # its axes became an input earlier than those of the others
        return [writer.node(op, [inputs[0], writer.integers(axes, f"{operator.name}_axes")],
                            operator.name, operator.shape, keepdims=int(keep))]
    return [writer.reduce(op, inputs[0], axes, keep, operator.name, operator.shape)]
