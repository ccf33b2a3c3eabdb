"""Convolutions of images whose first row and column are cut off: computed without these.

TensorFlow's uneven padding is written in MXNet as a padding that is one stride too wide, and a cut
behind it, which takes the map out of its blocks. Zeros before the weights do the same.
"""

from __future__ import annotations

from ssdreg.graph.nodes import VARIABLE, Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import BLOCK, Shaped
from ssdreg.training.graphs.sides import ACROSS, DOWN, Side, cropped, with_zeros


def without_cuts(shaped: Shaped) -> Net:
    """Fill the weights of such convolutions with zeros, where they read few channels.

    Where they read many, products with zeros would cost more than the cut.
    """
    net, edit = shaped.net, Edit(shaped.net)
    for index in net.find("Convolution"):
        node = net.nodes[index]
        if (len(shaped.shapes[index]) != 4 or shaped.read_by(index)[1] >= BLOCK
                or node.attrs.integer("num_group", 1) > 1
                or set(node.attrs.extent("dilate", 2, 1)) != {1}
                or net.op(node.sources[1]) != VARIABLE):
            continue
        whole = cropped(shaped, index)
        down, across = _zeros(whole.down), _zeros(whole.across)
        if whole.output == index or down is None or across is None:
            continue
        weights, shape = node.inputs[1], shaped.shapes[node.sources[1]]
        # MXNet does not infer shapes backward through a Concat
        edit.put(weights[0], net.nodes[weights[0]].with_attrs({"__shape__": str(shape)}))
        for axis, (front, back) in ((DOWN, down), (ACROSS, across)):
            weights, shape = with_zeros(edit, f"{node.name}_axis{axis}", weights, shape, axis,
                                        front, back)
        edit.read_instead((whole.output, 0), edit.add(
            "Convolution", f"{node.name}_uncut", (node.inputs[0], weights, *node.inputs[2:]), **{
                **node.attrs.texts, "kernel": shape[DOWN:], "pad": (
                    whole.down.filled(*down).padded, whole.across.filled(*across).padded)}))
    return edit.net()


def _zeros(side: Side) -> tuple[int, int] | None:
    """Return the fewest zeros before and behind the weights that give exactly what is read."""
    return next(((front, back) for front in range(max(0, -side.before), side.stride + 2)
                 for back in range(side.stride + 1) if side.filled(front, back).is_whole), None)
