"""Operators that change shapes or the order of axes, concatenate, cut and pad."""

from __future__ import annotations

from collections.abc import Sequence

from ssdreg_torch.export.code import Code, Site, call, number, unwritten, writes
from ssdreg_torch.operators.shaping import PAD_MODES

#: The order of axes in which predictions are flattened.
_CELLS = ".permute(0, 2, 3, 1)"


@writes("Flatten")
def flatten(site: Site) -> Code:
    """Write all dimensions behind the first as one; predictions have a function for it."""
    text = site.inputs[0].atom
    if text.endswith(_CELLS):
        return call(site.helper("by_cell"), text[:-len(_CELLS)])
    return Code(f"{site.inputs[0].atom}.flatten(1)")


@writes("Reshape")
def reshape(site: Site) -> Code:
    """Write another shape, of any batch."""
    codes, data = site.node.attrs.sequence("shape"), site.inputs[0].atom
    kept = next((place for place, code in enumerate(codes) if code != 0), len(codes))
    rest = codes[kept:]
    if kept and rest and all(code == -1 or code > 0 for code in rest) \
            and not site.node.attrs.flag("reverse"):
        shape = site.shapes[0]
        flat = "" if shape is not None and len(shape) == kept + 1 else f".flatten({kept})"
        return Code(f"{data}{flat}" if rest == (-1,) else f"{data}{flat}.unflatten({kept}, {rest})")
    if site.shape is None or site.shape.count(None) > 1:
        raise unwritten(site.node, "its new shape does not follow from the size of its input")
    return Code(f"{data}.reshape({', '.join(str(size or -1) for size in site.shape)})")


@writes("reshape_like")
def reshape_like(site: Site) -> Code:
    """Write the shape of another value."""
    if any(site.node.attrs.given(f"{side}_{end}") for side in ("lhs", "rhs")
           for end in ("begin", "end")):
        raise unwritten(site.node, "it takes over some axes alone")
    return Code(f"{site.inputs[0].atom}.reshape({site.inputs[1].atom}.shape)")


@writes("expand_dims")
def expand_dims(site: Site) -> Code:
    """Write a new axis of size 1."""
    return Code(f"{site.inputs[0].atom}.unsqueeze({site.node.attrs.integer('axis')})")


@writes("squeeze")
def squeeze(site: Site) -> Code:
    """Write a value without axes of size 1."""
    axes = site.node.attrs.sequence("axis")
    if not axes:
        raise unwritten(site.node, "it drops every axis of size 1, which the batch may be")
    return Code(f"{site.inputs[0].atom}.squeeze({axes[0] if len(axes) == 1 else axes})")


@writes("transpose")
def transpose(site: Site) -> Code:
    """Write another order of axes."""
    axes = site.node.attrs.sequence("axes") or tuple(reversed(range(site.rank())))
    moved = [place for place, axis in enumerate(axes) if place != axis]
    if len(moved) == 2:
        return Code(f"{site.inputs[0].atom}.transpose({moved[0]}, {moved[1]})")
    return Code(f"{site.inputs[0].atom}.permute({', '.join(map(str, axes))})")


@writes("SwapAxis")
def swap_axes(site: Site) -> Code:
    """Write an exchange of two axes."""
    attrs = site.node.attrs
    return Code(f"{site.inputs[0].atom}.transpose({attrs.integer('dim1')}, "
                f"{attrs.integer('dim2')})")


def _tuple(parts: Sequence[Code]) -> str:
    return f"({', '.join(part.text for part in parts)}{',' if len(parts) == 1 else ''})"


@writes("Concat")
def concat(site: Site) -> Code:
    """Write a concatenation."""
    return call("torch.cat", _tuple(site.inputs), site.node.attrs.integer("dim", 1))


@writes("stack")
def stack(site: Site) -> Code:
    """Write a concatenation along a new axis."""
    return call("torch.stack", _tuple(site.inputs), site.node.attrs.integer("axis"))


@writes("Pad")
def pad(site: Site) -> Code:
    """Write a map with a border."""
    attrs = site.node.attrs
    widths, kind = attrs.sequence("pad_width"), attrs.text("mode", "constant")
    if any(widths[:4]) or kind not in PAD_MODES:
        raise unwritten(site.node, "it pads images or channels, or in a way that is not known")
    sides = [width for axis in range(len(widths) // 2 - 1, 1, -1)
             for width in widths[2 * axis:2 * axis + 2]]
    named: dict[str, object] = {}
    if kind != "constant":
        named["mode"] = f'"{PAD_MODES[kind]}"'
    elif attrs.number("constant_value"):
        named["value"] = number(attrs.number("constant_value"))
    return call("F.pad", site.inputs[0], sides, **named)


@writes("slice")
def slice_(site: Site) -> Code:
    """Write a cut along several axes."""
    attrs = site.node.attrs
    begins, ends = attrs.sequence("begin"), attrs.sequence("end")
    steps = attrs.sequence("step") or (None,) * len(begins)
    cuts = []
    for begin, end, step in zip(begins, ends, steps):
        if (step or 1) < 0:
            raise unwritten(site.node, "it goes backwards")
        cuts.append(_cut(begin or None, end) + ("" if step in (None, 1) else f":{step}"))
    while cuts and cuts[-1] == ":":
        cuts.pop()
    return Code(f"{site.inputs[0].atom}[{', '.join(cuts)}]") if cuts else site.inputs[0]


def _cut(begin: int | None, end: int | None) -> str:
    return f"{'' if begin is None else begin}:{'' if end is None else end}"


@writes("slice_axis")
def slice_axis(site: Site) -> Code:
    """Write a cut along one axis."""
    attrs = site.node.attrs
    axis, begin = attrs.integer("axis"), attrs.integer("begin")
    (end,) = attrs.sequence("end", (None,))
    cut = _cut(begin or None, end)
    cuts = [":"] * axis + [cut] if axis >= 0 else ["...", cut] + [":"] * (-axis - 1)
    return Code(f"{site.inputs[0].atom}[{', '.join(cuts)}]")


@writes("slice_like")
def slice_like(site: Site) -> Code:
    """Write a cut to the size of another value, along some axes."""
    axes = site.node.attrs.sequence("axes") or tuple(range(site.rank(1)))
    if site.shape is None or any(site.shape[axis] is None for axis in axes if axis > 0):
        raise unwritten(site.node, "the size that it cuts to is not known")
    rank = len(site.shape)
    sizes = {axis % rank: site.shape[axis % rank] for axis in axes}
    cuts = [":" if sizes.get(axis) is None else f":{sizes[axis]}" for axis in range(rank)]
    return Code(f"{site.inputs[0].atom}[{', '.join(cuts)}]")


@writes("Crop")
def crop(site: Site) -> Code:
    """Write a cut of a map to a height and width, in its middle or from an offset."""
    attrs, data = site.node.attrs, site.shapes[0]
    if site.shape is None or data is None:
        raise unwritten(site.node, "the size of its map is not known")
    offset = attrs.sequence("offset") or (0, 0)
    if attrs.flag("center_crop"):
        offset = tuple(((before or 0) - (after or 0)) // 2
                       for before, after in zip(data[2:], site.shape[2:]))
    cuts = [_cut(begin or None, begin + (size or 0)) for begin, size in zip(offset, site.shape[2:])]
    return Code(f"{site.inputs[0].atom}[:, :, {', '.join(cuts)}]")


@writes("SliceChannel", "_split_v2")
def split(site: Site) -> Sequence[Code]:
    """Write equal parts."""
    attrs, shape = site.node.attrs, site.shapes[0]
    count = attrs.integer("num_outputs" if site.node.op == "SliceChannel" else "sections")
    axis = attrs.integer("axis", 1)
    if not count or attrs.flag("squeeze_axis") or shape is None or not shape[axis]:
        raise unwritten(site.node, "its parts are not equal, or lose their axis")
    part = call(f"{site.inputs[0].atom}.chunk", count, axis)
    return [Code(f"{part.text}[{place}]") for place in range(count)]


@writes("broadcast_to", "broadcast_like")
def broadcast(site: Site) -> Code:
    """Write a value repeated along the axes that it has the size 1 in."""
    if site.shape is None:
        raise unwritten(site.node, "its new shape is not known")
    return Code(f"{site.inputs[0].atom}.expand({', '.join(str(s or -1) for s in site.shape)})")


@writes("batch_dot")
def batch_product(site: Site) -> Code:
    """Write a matrix product for each pair of a batch."""
    attrs = site.node.attrs
    first, second = (f"{data.atom}.mT" if attrs.flag(f"transpose_{side}") else data.text
                     for data, side in zip(site.inputs, "ab"))
    return call("torch.matmul", first, second)


@writes("depth_to_space")
def depth_to_space(site: Site) -> Code:
    """Write channels as blocks of cells."""
    side = site.node.attrs.integer("block_size")
    shape = site.shapes[0]
    if shape is None:
        raise unwritten(site.node, "the shape of its map is not known")
    parts = f"{site.inputs[0].atom}.unflatten(1, ({side}, {side}, -1)).permute(0, 3, 4, 1, 5, 2)"
    return Code(f"{parts}.flatten(4).flatten(2, 3)")


@writes("tile")
def tile(site: Site) -> Code:
    """Write a value several times beside itself, along each axis."""
    return call("torch.tile", site.inputs[0], site.node.attrs.sequence("reps"))


