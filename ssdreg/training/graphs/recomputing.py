"""Normalizations with their ReLUs computed again in the backward pass, instead of kept for it."""

from __future__ import annotations

from ssdreg.graph.nodes import Net
from ssdreg.training.graphs.norms import JOINED
from ssdreg.training.graphs.shapes import Shaped


def with_recomputation(shaped: Shaped) -> Net:
    """Mark what costs little to compute twice; results stay the same to the bit.

    A ReLU by itself is written over what it reads, and would take a map more where it is marked.
    """
    net = shaped.net
    return net.replaced({index: net.nodes[index].with_attrs({"__force_mirroring__": "True"})
                         for index in net.find(JOINED)})
