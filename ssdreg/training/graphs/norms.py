"""Batch normalization: joined with the ReLU behind it, and kept from kernels that are slow."""

from __future__ import annotations

from attrs import evolve

from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import BATCH_NORM, DATA_LAYOUT_KEEPERS, is_scalar
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import BLOCK, Shaped

#: MXNet's operator of both.
JOINED = "_contrib_BatchNormWithReLU"
#: What gives back gradients in blocks.
_BLOCKED = {"Convolution", *DATA_LAYOUT_KEEPERS}


def with_activations(shaped: Shaped) -> Net:
    """Join every normalization over channels whose only reader is a ReLU with that.

    Maps, and gradients, that may not lie in blocks of 16 are left as they are: MXNet has no
    backward pass of both for every other layout.
    """
    net = shaped.net
    edit, readers, narrow = Edit(net), net.readers(), _narrow(shaped)
    ahead = _ahead(net, narrow)
    heads = {index for index, _ in net.heads}
    for index in net.find("Activation"):
        norm, output = net.inputs(index)[0]
        if (net.attrs(index).text("act_type") == "relu" and net.op(norm) == BATCH_NORM
                and output == 0 and len(readers[norm]) == 1 and norm not in heads
                and norm not in narrow and False not in ahead[index]
                and all(net.op(reader) in _BLOCKED for reader, _ in readers[index])
                and net.attrs(norm).integer("axis", 1) == 1
                and not net.attrs(norm).flag("output_mean_var")):
            edit.put(norm, evolve(net.nodes[norm], op=JOINED))
            edit.read_instead((index, 0), (norm, 0))
    return edit.net()


def apart(shaped: Shaped) -> Net:
    """Keep layouts apart at normalizations that stand between blocks of 8 and of 16 channels.

    Where the map lies in ones and its gradient arrives in the others, MXNet takes a backward pass
    of 50 times the time. A cut of nothing behind it gives the gradient without blocks; an operator
    that may write where it reads would keep them.
    """
    net = shaped.net
    edit, narrow = Edit(net), _narrow(shaped)
    ahead = _ahead(net, narrow)
    for index in net.find(BATCH_NORM):
        shape = shaped.shapes[index]
        if len(shape) == 4 and shape[1] % BLOCK == 0 and ahead[index] | {
                index not in narrow} == {True, False}:
            edit.read_instead((index, 0), edit.add(
                "slice_axis", f"{net.name(index)}_apart", ((index, 0),), axis=0, begin=0,
                end=None))
    return edit.net()


def _ahead(net: Net, narrow: set[int]) -> list[set[bool]]:
    """Return for each node in which blocks gradients may arrive at it: True for those of 16."""
    readers = net.readers()
    ahead: list[set[bool]] = [set() for _ in net.nodes]
    for index in range(len(net.nodes) - 1, -1, -1):
        for reader, _ in readers[index]:
            if net.op(reader) == "Convolution":
                ahead[index].add(reader not in narrow)
            elif net.op(reader) in DATA_LAYOUT_KEEPERS or is_scalar(net.op(reader)):
                ahead[index] |= ahead[reader]
    return ahead


def _narrow(shaped: Shaped) -> set[int]:
    """Return the nodes whose maps may not lie in blocks of 16 channels."""
    narrow: set[int] = set()
    for index, node in enumerate(shaped.net.nodes):
        if node.op in ("Convolution", "Deconvolution"):
            inputs, outputs = shaped.read_by(index)[1], shaped.shapes[index][1]
            groups = node.attrs.integer("num_group", 1)
            wide = outputs % BLOCK == 0 and (
                groups == inputs or (groups == 1 and (inputs % BLOCK == 0 or inputs < 4)))
        else:
            wide = (node.is_variable
                    or (node.op in DATA_LAYOUT_KEEPERS and narrow.isdisjoint(node.sources)))
        if not wide:
            narrow.add(index)
    return narrow
