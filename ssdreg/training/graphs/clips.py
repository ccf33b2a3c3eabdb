"""ReLU6 as a ReLU and a minimum.

MXNet's ``clip`` takes a branch for every value, forward and backward, which no processor guesses;
the two others have none.
"""

from __future__ import annotations

from ssdreg.graph.nodes import Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shaped


def with_minima(shaped: Shaped) -> Net:
    """Replace every ``clip`` between 0 and a positive number.

    At exactly 0 the gradient of ``clip`` is passed on, and that of a ReLU is 0.
    """
    net = shaped.net
    edit = Edit(net)
    for index in net.find("clip"):
        attrs, name = net.attrs(index), net.name(index)
        if attrs.number("a_min") == 0 and attrs.number("a_max") > 0:
            positive = edit.add("Activation", f"{name}_positive", net.inputs(index)[:1],
                                act_type="relu")
            edit.read_instead((index, 0), edit.add(
                "_minimum_scalar", f"{name}_minimum", (positive,), scalar=attrs["a_max"]))
    return edit.net()
