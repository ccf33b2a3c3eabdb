"""Convolutions of images whose first row and column are cut off: computed without these.

TensorFlow's uneven padding is written in MXNet as a padding that is one stride too wide, and a cut
behind it, which takes the map out of its blocks. Zeros before the weights do the same.
"""

from __future__ import annotations

from ssdreg.graph.nodes import Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import BLOCK, Shaped
from ssdreg.training.graphs.sides import ACROSS, DOWN, Side, cropped, is_plain, with_zeros


def without_cuts(shaped: Shaped) -> Net:
    """Fill the weights of such convolutions with zeros, where they read few channels.

    Where they read many, products with zeros would cost more than the cut.
    """
    net, edit = shaped.net, Edit(shaped.net)
    for index in net.find("Convolution"):
        node = net.nodes[index]
        if (not is_plain(shaped, index) or shaped.read_by(index)[1] >= BLOCK
                or node.attrs.integer("num_group", 1) > 1):
            continue
        whole = cropped(shaped, index)
        down, across = whole.down.zeros(_is_whole), whole.across.zeros(_is_whole)
        if whole.output == index or down is None or across is None:
            continue
        weights, shape = node.inputs[1], shaped.shapes[node.sources[1]]
        edit.know_shape(weights[0], shape)
        for axis, zeros in ((DOWN, down), (ACROSS, across)):
            weights, shape = with_zeros(edit, f"{node.name}_axis{axis}", weights, shape, axis,
                                        zeros.front, zeros.back)
        edit.read_instead((whole.output, 0), edit.add(
            "Convolution", f"{node.name}_uncut", (node.inputs[0], weights, *node.inputs[2:]), **{
                **node.attrs.texts, "kernel": shape[DOWN:],
                "pad": (down.padding, across.padding)}))
    return edit.net()


def _is_whole(side: Side) -> bool:
    return side.is_whole
