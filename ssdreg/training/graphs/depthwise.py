"""Depthwise convolutions brought into the form for which oneDNN has a fast gradient of weights.

Its kernel takes three columns of weights, and no more padding than half the weights. The others
fall to a matrix product for every channel, which takes some ten times as long: weights of 5x5, and
a padding that is one stride too wide because its first row and column are cut off behind it, as
TensorFlow's uneven padding is written in MXNet.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ssdreg.graph.nodes import Entry, Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shape, Shaped
from ssdreg.training.graphs.sides import ACROSS, DOWN, Side, Zeros, cropped, is_plain, with_zeros

#: Where columns of weights stand around a cell.
_PLACES = (-1, 0, 1)


@frozen
class _Columns:
    """Neighbouring columns of weights, as those of a convolution around each cell.

    `begin` is the first of them and `places` are where they stand around a cell. What they give
    for a cell belongs to the output `shift` cells before it.
    """

    shift: int
    begin: int
    places: tuple[int, ...]


def in_columns(shaped: Shaped) -> Net:
    """Replace every depthwise convolution without a fast gradient by a sum of those that have one.

    Each takes some columns of the weights, filled up with zeros, and its outputs are moved by a
    cell where they belong to a neighbour. Convolutions for which that is not the same are left.
    """
    net, edit = shaped.net, Edit(shaped.net)
    for index in net.find("Convolution"):
        if not _is_depthwise(shaped, index):
            continue
        whole = cropped(shaped, index)
        if (_is_fast(whole.down) and _is_fast(whole.across)
                and whole.across.kernel <= len(_PLACES)):
            continue
        rows, columns = whole.down.zeros(_is_fast), _columns(whole.across)
        if rows is not None and columns:
            edit.read_instead((whole.output, 0), _sum(shaped, edit, index, rows, columns))
    return edit.net()


def _is_depthwise(shaped: Shaped, index: int) -> bool:
    return (is_plain(shaped, index) and shaped.convolves_blocks(index)
            and shaped.net.attrs(index).integer("num_group", 1)
            == shaped.shapes[index][1] == shaped.read_by(index)[1])


def _is_fast(side: Side) -> bool:
    return side.is_whole and all(
        padding <= side.kernel // 2 and (padding < 2 or padding % side.stride == 0)
        for padding in (side.before, side.after))


def _columns(side: Side) -> tuple[_Columns, ...]:
    """Divide the weights into columns that are fast, those without a shift first.

    Return () where their sum would not be the same.
    """
    if side.cells != (side.length - 1) // side.stride + 1:
        return ()
    groups: dict[int, list[int]] = {0: []}
    for offset in range(-side.before, side.kernel - side.before):
        shift = 0 if offset in _PLACES else (1 if offset > 0 else -1)
        groups.setdefault(shift, []).append(offset - shift * side.stride)
    if any(place not in _PLACES for places in groups.values() for place in places):
        return ()
    # of the cell next to its own that the shift has no value for, it takes zero
    if not groups[0] or max(groups.get(-1, [-1])) >= side.stride or min(
            groups.get(1, [0])) + side.cells * side.stride < side.length:
        return ()
    return tuple(_Columns(shift, places[0] + shift * side.stride + side.before, tuple(places))
                 for shift, places in groups.items())


def _sum(shaped: Shaped, edit: Edit, index: int, rows: Zeros,
         columns: Sequence[_Columns]) -> Entry:
    """Add the convolutions, moved and summed up; the first has the biases."""
    node = shaped.net.nodes[index]
    data, (variable, _) = node.inputs[:2]
    shape = shaped.shapes[variable]
    edit.know_shape(variable, shape)
    weights, shape = with_zeros(edit, f"{node.name}_rows", (variable, 0), shape, DOWN, rows.front,
                                rows.back)
    parts = []
    for number, group in enumerate(columns):
        name = f"{node.name}_columns{group.begin}"
        inputs = [data, _some(edit, name, weights, shape, group),
                  *(node.inputs[2:] if number == 0 else ())]
        part = edit.add("Convolution", name, inputs, **{
            **node.attrs.texts, "kernel": (shape[DOWN], len(_PLACES)), "pad": (rows.padding, 1),
            "no_bias": len(inputs) == 2})
        parts.append(_moved(edit, name, part, shape[0], group.shift) if group.shift else part)
    total, *others = parts
    for number, part in enumerate(others):
        total = edit.add("elemwise_add", f"{node.name}_sum{number}", [total, part])
    return total


def _some(edit: Edit, name: str, weights: Entry, shape: Shape, group: _Columns) -> Entry:
    """Add what gives some columns of the weights, in their places."""
    width = len(group.places)
    if width < shape[ACROSS]:
        weights = edit.add("slice_axis", f"{name}_weights", [weights], axis=ACROSS,
                           begin=group.begin, end=group.begin + width)
    filled, _ = with_zeros(edit, name, weights, (*shape[:ACROSS], width), ACROSS,
                           group.places[0] - _PLACES[0], _PLACES[-1] - group.places[-1])
    return filled


def _moved(edit: Edit, name: str, data: Entry, channels: int, shift: int) -> Entry:
    """Add what moves a map by one cell, a convolution by (0, 0, 1), which keeps it in blocks."""
    one = edit.add("_ones", f"{name}_one", (), shape=(channels, 1, 1, 1), dtype="float32")
    weights, _ = with_zeros(edit, f"{name}_move", one, (channels, 1, 1, 1), ACROSS,
                            1 + shift, 1 - shift)
    return edit.add("Convolution", f"{name}_moved", [data, weights], kernel=(1, len(_PLACES)),
                    pad=(0, 1), num_filter=channels, num_group=channels, no_bias=True)
