"""Predictors of one feature joined to one convolution, its outputs filled up to whole blocks.

MXNet takes oneDNN's blocked kernels only where they need no more memory than the map has, which is
where the channels are a multiple of 16; predictors seldom have as many.
"""

from __future__ import annotations

from collections import defaultdict

from ssdreg.graph.nodes import Entry, Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import BLOCK, Shaped

#: Settings that must be the same for two convolutions to be one.
_GEOMETRY = ("kernel", "stride", "pad", "dilate", "no_bias")


def joined(shaped: Shaped) -> Net:
    """Join the convolutions of one map whose outputs are only laid out cell by cell.

    The joined outputs are laid out once and then cut into the predictors' own.
    """
    net = shaped.net
    edit, readers = Edit(net), net.readers()
    heads = {index for index, _ in net.heads}
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index in net.find("Convolution"):
        attrs = net.attrs(index)
        if (attrs.integer("num_group", 1) == 1 and index not in heads
                and len(readers[index]) == 1 and _lays_out(net, readers[index][0][0])):
            groups[net.inputs(index)[0],
                   tuple(attrs.text(name) for name in _GEOMETRY)].append(index)
    for number, members in enumerate(groups.values()):
        _join(shaped, edit, members, f"predictors{number}", [
            readers[index][0][0] for index in members])
    return edit.net()


def _lays_out(net: Net, index: int) -> bool:
    return (net.op(index) == "transpose"
            and net.attrs(index).sequence("axes") == (0, 2, 3, 1))


def _join(shaped: Shaped, edit: Edit, members: list[int], name: str, layouts: list[int]) -> None:
    """Add one convolution for several, and cuts that are read instead of their `layouts`."""
    net = shaped.net
    counts = [shaped.shapes[index][1] for index in members]
    rest = -sum(counts) % BLOCK
    if len(members) == 1 and not rest:
        return
    first = net.nodes[members[0]]
    inputs = [first.inputs[0]]
    for place in range(1, len(first.inputs)):  # the weights, then the biases where there are any
        parts: list[Entry] = [net.inputs(index)[place] for index in members]
        for variable, _ in parts:
            edit.know_shape(variable, shaped.shapes[variable])
        if rest:
            shape = (rest, *shaped.shapes[parts[0][0]][1:])
            parts.append(edit.add("_zeros", f"{name}_rest{place}", (), shape=shape,
                                  dtype="float32"))
        inputs.append(edit.add("Concat", f"{name}_parameters{place}", parts, dim=0,
                               num_args=len(parts)))
    settings = {**first.attrs.texts, "num_filter": sum(counts) + rest}
    together = edit.add("Convolution", name, inputs, **settings)
    laid_out = edit.add("transpose", f"{name}_layout", (together,), axes=(0, 2, 3, 1))
    begin = 0
    for index, layout, count in zip(members, layouts, counts):
        edit.read_instead((layout, 0), edit.add(
            "slice_axis", f"{net.name(index)}_outputs", (laid_out,), axis=3, begin=begin,
            end=begin + count))
        begin += count
