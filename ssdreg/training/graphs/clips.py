"""ReLU6 by other operators.

MXNet's ``clip`` takes a branch for every value, forward and backward, which no processor guesses;
those that stand here for it have none.
"""

from __future__ import annotations

from collections.abc import Callable

from ssdreg.graph.nodes import Entry, Net
from ssdreg.graph.operators import BATCH_NORM
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shaped

#: Adds what stands for a clip: (edit, name, what it reads, the upper limit as text).
_Instead = Callable[[Edit, str, Entry, str], Entry]


def with_limits(shaped: Shaped) -> Net:
    """Replace every ``clip`` between 0 and a positive number, for float32.

    Between convolutions of whole blocks it stays in these, see `_less_excess`; elsewhere it is a
    minimum and a maximum.
    """
    def limits(edit: Edit, name: str, data: Entry, limit: str) -> Entry:
        below = edit.add("_minimum_scalar", f"{name}_minimum", (data,), scalar=limit)
        return edit.add("_maximum_scalar", f"{name}_maximum", (below,), scalar=0)
    return _replaced(shaped, limits)


def with_relus(shaped: Shaped) -> Net:
    """Replace it for bfloat16: elsewhere by a ReLU, which oneDNN has in that, and a minimum.

    At exactly 0 the gradient of ``clip`` is passed on, and that of a ReLU is 0.
    """
    def relu(edit: Edit, name: str, data: Entry, limit: str) -> Entry:
        positive = edit.add("Activation", f"{name}_positive", (data,), act_type="relu")
        return edit.add("_minimum_scalar", f"{name}_minimum", (positive,), scalar=limit)
    return _replaced(shaped, relu)


def _replaced(shaped: Shaped, elsewhere: _Instead) -> Net:
    net, readers = shaped.net, shaped.net.readers()
    edit = Edit(net)
    for index in net.find("clip"):
        attrs = net.attrs(index)
        if attrs.number("a_min") == 0 and attrs.number("a_max") > 0:
            data = net.inputs(index)[0]
            stays = _comes_in_blocks(shaped, data[0]) and all(
                shaped.convolves_blocks(reader) for reader, _ in readers[index])
            edit.read_instead((index, 0), (
                _less_excess(edit, net.name(index), data, attrs["a_max"], shaped.shapes[index][1])
                if stays else elsewhere(edit, net.name(index), data, attrs["a_max"])))
    return edit.net()


def _comes_in_blocks(shaped: Shaped, index: int) -> bool:
    """Tell whether a map was computed from one in whole blocks, and is in such itself."""
    net = shaped.net
    while net.op(index) == BATCH_NORM:
        index = net.nodes[index].sources[0]
    return shaped.convolves_blocks(index) or (
        net.op(index) == "elemwise_add" and shaped.is_in_blocks(index))


def _less_excess(edit: Edit, name: str, data: Entry, limit: str, channels: int) -> Entry:
    """Add ``a - relu(a - 6)``, a the ReLU, in what oneDNN computes in blocks, in bfloat16 too.

    A convolution of one weight a channel subtracts 6, and another changes the sign. In bfloat16
    both differences are exact.
    """
    positive = edit.add("Activation", f"{name}_positive", (data,), act_type="relu")
    above = _scaled(edit, f"{name}_above", positive, channels, 1, f"-{limit}")
    excess = edit.add("Activation", f"{name}_excess", (above,), act_type="relu")
    return edit.add("elemwise_add", f"{name}_limited",
                    (positive, _scaled(edit, f"{name}_less", excess, channels, -1)))


def _scaled(edit: Edit, name: str, data: Entry, channels: int, scale: float,
            shift: str = "") -> Entry:
    """Add a depthwise convolution of one weight, that multiplies all values and adds to them."""
    constants = [edit.add("_full", f"{name}_scale", (), shape=(channels, 1, 1, 1), value=scale,
                          dtype="float32")]
    if shift:
        constants.append(edit.add("_full", f"{name}_shift", (), shape=(channels,), value=shift,
                                  dtype="float32"))
    return edit.add("Convolution", name, (data, *constants), kernel=(1, 1), num_filter=channels,
                    num_group=channels, no_bias=not shift)
