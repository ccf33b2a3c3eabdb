"""Declarations without taps, completed from the graph."""

from __future__ import annotations

from attrs import evolve

from ssdreg.graph.symbol import graph_at
from ssdreg.graph.taps import taps_of
from ssdreg.graph.wiring import Wiring, read_wiring
from ssdreg.registry.backbone import Backbone

#: Large enough that every stage of every classifier has a map of its own; which nodes end the
#: stages does not depend on it.
FIND_AT = (512, 512)
#: How many taps feed detection where nobody says which: the coarsest ones.
DETECT = 2

#: Completed declarations, cached: the same declaration makes the same symbol.
_completed: dict[Backbone, Backbone] = {}


def complete(backbone: Backbone, wiring: Wiring | None = None) -> Backbone:
    """Return `backbone` with its taps, and the strides that feed detection, filled in.

    What is declared stays as it is. `wiring` is that of its own symbol, where that was read
    before. Raises TapError when the graph has no usable stages.
    """
    if backbone not in _completed:
        taps = backbone.taps or taps_of(graph_at(wiring or read_wiring(backbone.symbol()), FIND_AT))
        stop = backbone.stops_at.stride if backbone.stops_at else taps[-1].stride
        up_to_stop = tuple(tap.stride for tap in taps if tap.stride <= stop)
        tap_strides = backbone.tap_strides or up_to_stop[-DETECT:]
        declared = (taps, tap_strides) == (backbone.taps, backbone.tap_strides)
        _completed[backbone] = backbone if declared else evolve(
            backbone, taps=taps, tap_strides=tap_strides)
    return _completed[backbone]


def forget() -> None:
    """Forget what was completed before."""
    _completed.clear()
