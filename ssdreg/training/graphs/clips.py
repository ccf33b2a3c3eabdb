"""ReLU6 as two operators.

MXNet's ``clip`` takes a branch for every value, forward and backward, which no processor guesses;
those that stand here for it have none.
"""

from __future__ import annotations

from collections.abc import Callable

from ssdreg.graph.nodes import Entry, Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shaped

#: Adds what stands for a clip: (edit, name, what it reads, the upper limit as text).
_Instead = Callable[[Edit, str, Entry, str], Entry]


def with_limits(shaped: Shaped) -> Net:
    """Replace every ``clip`` between 0 and a positive number by a minimum and a maximum."""
    def limits(edit: Edit, name: str, data: Entry, limit: str) -> Entry:
        below = edit.add("_minimum_scalar", f"{name}_minimum", (data,), scalar=limit)
        return edit.add("_maximum_scalar", f"{name}_maximum", (below,), scalar=0)
    return _replaced(shaped.net, limits)


def with_relus(shaped: Shaped) -> Net:
    """Replace it by a ReLU, which oneDNN computes in bfloat16 too, and a minimum, float32.

    At exactly 0 the gradient of ``clip`` is passed on, and that of a ReLU is 0.
    """
    def relu(edit: Edit, name: str, data: Entry, limit: str) -> Entry:
        positive = edit.add("Activation", f"{name}_positive", (data,), act_type="relu")
        return edit.add("_minimum_scalar", f"{name}_minimum", (positive,), scalar=limit)
    return _replaced(shaped.net, relu)


def _replaced(net: Net, instead: _Instead) -> Net:
    edit = Edit(net)
    for index in net.find("clip"):
        attrs = net.attrs(index)
        if attrs.number("a_min") == 0 and attrs.number("a_max") > 0:
            edit.read_instead((index, 0), instead(edit, net.name(index), net.inputs(index)[0],
                                                  attrs["a_max"]))
    return edit.net()
