"""A deploy symbol rearranged for MXNet's int8. Results change by rounding only."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from ssdreg.errors import ModelError
from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import BATCH_NORM, CONVOLUTIONS, CROPS, ELEMENTWISE, WEIGHTED

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Operators that may stand before or behind a cut: they work on each value alone.
_POINTWISE = ELEMENTWISE | {BATCH_NORM}


def cuts_last(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Move cuts from between a convolution and its normalisation and activation behind these.

    A network with uneven padding pads more and cuts the surplus off. Between the convolution and
    what follows it the cut keeps MXNet from joining them, and the int8 range would then have to
    cover values that the activation drops.
    """
    net = Net.of(symbol)
    for cut in net.find(*CROPS):
        net = _cut_last(net, cut)
    return net.symbol()


def _cut_last(net: Net, cut: int) -> Net:
    """Move one cut, where a convolution that nothing else reads stands right before it."""
    if len(net.inputs(cut)) != 1:
        return net
    before, readers = net.inputs(cut)[0], net.readers()
    if net.op(before[0]) not in CONVOLUTIONS or len(readers[before[0]]) != 1:
        return net
    last, heads = cut, {index for index, _ in net.heads}
    while (last not in heads and len(readers[last]) == 1 and readers[last][0][1] == 0
           and net.op(readers[last][0][0]) in _POINTWISE):
        last = readers[last][0][0]
    if last == cut or last in heads:
        return net
    moved = net.rewired({(cut, 0): before, (last, 0): (cut, 0)})
    return moved.replaced({cut: evolve(net.nodes[cut], inputs=((last, 0),))})


def weights_of(symbol: mx.sym.Symbol, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the weights of these convolutions.

    Raises ModelError, with names that are alike, for one that is none.
    """
    net = Net.of(symbol)
    weights = {net.name(index): net.name(net.inputs(index)[1][0]) for index in net.find(*WEIGHTED)}
    for name in names:
        if name not in weights:
            close = difflib.get_close_matches(name, weights, n=3) or list(weights)[:3]
            raise ModelError(f"the network has no convolution {name!r}: there are "
                             f"{', '.join(map(repr, close))} and others")
    return tuple(weights[name] for name in names)
