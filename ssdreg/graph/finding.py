"""Declarations without taps, completed from the graph."""

from __future__ import annotations

from functools import cache

from attrs import evolve

from ssdreg.graph.taps import find_taps
from ssdreg.registry.backbone import Backbone

#: Large enough that every stage of every classifier has a map of its own; which nodes end the
#: stages does not depend on it.
FIND_AT = 512
#: How many taps feed detection where nobody says which: the coarsest ones.
DETECT = 2


@cache
def complete(backbone: Backbone) -> Backbone:
    """Return `backbone` with its taps, and the strides that feed detection, filled in.

    What is declared stays as it is. Raises TapError when the graph has no usable stages.
    """
    taps = backbone.taps
    if not taps:
        taps = find_taps(backbone.symbol(), FIND_AT)
    stop = backbone.stops_at.stride if backbone.stops_at else taps[-1].stride
    up_to_stop = tuple(tap.stride for tap in taps if tap.stride <= stop)
    tap_strides = backbone.tap_strides or up_to_stop[-DETECT:]
    if taps == backbone.taps and tap_strides == backbone.tap_strides:
        return backbone
    return evolve(backbone, taps=taps, tap_strides=tap_strides)
