"""Operators that change shapes or the order of axes, concatenate, repeat and pad."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer


@translates("Flatten", "Reshape", "expand_dims", "squeeze", "reshape_like")
def reshape(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write any operator that only reshapes, by its inferred output shape."""
    before, after = inputs[0].shape, operator.shape
    if math.prod(before.sizes) != math.prod(after.sizes) \
            or any(before.follows) != any(after.follows):
        raise unsupported(operator, f"its shape {operator.attrs.text('shape')} is fixed to a "
                                    f"number of images")
    return [_reshaped(inputs[0], operator, writer)]


def _reshaped(value: Value, operator: Operator, writer: Writer) -> Value:
    """Write a reshape to the operator's inferred output shape."""
    sizes = operator.shape.of(writer.batch)
    if sizes.count(-1) > 1:
        raise unsupported(operator, "more than one dimension of its result grows with the batch")
    return writer.node("Reshape", [value, writer.integers(sizes, f"{operator.name}_shape")],
                       operator.name, operator.shape)


@translates("transpose")
def transpose(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a transposition, by default the reverse order of axes."""
    rank = len(inputs[0].sizes)
    axes = operator.attrs.sequence("axes") or tuple(reversed(range(rank)))
    return [writer.node("Transpose", [inputs[0]], operator.name, operator.shape,
                        perm=[axis % rank for axis in axes])]


@translates("SwapAxis")
def swap_axes(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write an exchange of two axes."""
    axes = list(range(len(inputs[0].sizes)))
    first, second = operator.attrs.integer("dim1"), operator.attrs.integer("dim2")
    axes[first], axes[second] = axes[second], axes[first]
    return [writer.node("Transpose", [inputs[0]], operator.name, operator.shape, perm=axes)]


@translates("Concat")
def concat(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a concatenation."""
    if len(inputs) == 1:
        return [inputs[0]]
    return [writer.node("Concat", inputs, operator.name, operator.shape,
                        axis=operator.attrs.integer("dim", 1))]


@translates("stack")
def stack(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a concatenation along a new axis."""
    name, axis = operator.name, operator.attrs.integer("axis")
    place = writer.integers([axis], f"{name}_axis")
    parts = [writer.node("Unsqueeze", [value, place], f"{name}_{index}")
             for index, value in enumerate(inputs)]
    return [writer.node("Concat", parts, name, operator.shape, axis=axis)]


@translates("reverse")
def reverse(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a reversal of axes."""
    axes, name = operator.attrs.sequence("axis"), operator.name
    parts = [writer.integers(part, f"{name}_{label}") for part, label in (
        ([-1] * len(axes), "begins"), ([-2**63 + 1] * len(axes), "ends"), (axes, "axes"),
        ([-1] * len(axes), "steps"))]
    return [writer.node("Slice", [inputs[0], *parts], name, operator.shape)]


@translates("Pad")
def pad(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a border around a map."""
    widths = operator.attrs.sequence("pad_width")
    mode = operator.attrs.text("mode", "constant")
    pads = writer.integers([*widths[::2], *widths[1::2]], f"{operator.name}_widths")
    more = [writer.floats(operator.attrs.number("constant_value"), f"{operator.name}_value")
            ] if mode == "constant" else []
    return [writer.node("Pad", [inputs[0], pads, *more], operator.name, operator.shape,
                        mode=mode)]


@translates("tile")
def tile(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a value several times beside itself, along each axis."""
    (data,), name, reps = inputs, operator.name, operator.attrs.sequence("reps")
    missing = len(reps) - len(data.sizes)
    if missing > 0:
        data = writer.node("Unsqueeze", [data, writer.integers(
            range(missing), f"{name}_axes")], f"{name}_unsqueezed")
    counts = writer.integers([*[1] * -missing, *reps], f"{name}_reps")
    return [writer.node("Tile", [data, counts], name, operator.shape)]


@translates("repeat")
def repeat(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write each cell of an axis several times in a row."""
    (data,), name, attrs = inputs, operator.name, operator.attrs
    if not attrs.given("axis"):
        raise unsupported(operator, "it has no axis, and so runs over the images as well")
    rank = len(data.sizes)
    axis = attrs.integer("axis") % rank
    apart = writer.node("Unsqueeze", [data, writer.integers([axis + 1], f"{name}_axis")],
                        f"{name}_apart")
    counts = [1] * (rank + 1)
    counts[axis + 1] = attrs.integer("repeats")
    tiled = writer.node("Tile", [apart, writer.integers(counts, f"{name}_counts")],
                        f"{name}_tiled")
    return [_reshaped(tiled, operator, writer)]


@translates("broadcast_to", "broadcast_axis")
def broadcast(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a value repeated along the axes that it has the size 1 in."""
    before, after = inputs[0].shape, operator.shape
    if any(new and not old for new, old in zip(after.follows, before.follows)):
        raise unsupported(operator, "it repeats a value for every image")
    # 1 keeps the size, and along the batch the value has it already
    sizes = [1 if follows else size for size, follows in zip(after.sizes, after.follows)]
    return [writer.node("Expand", [inputs[0], writer.integers(sizes, f"{operator.name}_sizes")],
                        operator.name, after)]


@translates("broadcast_like")
def broadcast_like(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a value repeated to the shape of another."""
    if operator.attrs.given("lhs_axes"):
        return broadcast(operator, inputs[:1], writer)
    shape = writer.node("Shape", [inputs[1]], f"{operator.name}_shape")
    return [writer.node("Expand", [inputs[0], shape], operator.name, operator.shape)]


@translates("depth_to_space", "space_to_depth")
def blocks(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write channels as blocks of cells, or blocks as channels."""
    op = "DepthToSpace" if operator.op == "depth_to_space" else "SpaceToDepth"
    settings = {"mode": "DCR"} if operator.op == "depth_to_space" else {}
    return [writer.node(op, inputs, operator.name, operator.shape,
                        blocksize=operator.attrs.integer("block_size"), **settings)]
