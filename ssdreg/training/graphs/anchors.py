"""Anchors that read no feature map: they depend on its size alone."""

from __future__ import annotations

from attrs import evolve

from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import PRIOR
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shaped


def without_features(shaped: Shaped) -> Net:
    """Let every prior read a map of zeros, of one channel and the feature's size.

    So the backward pass adds no zeros to the gradient of every feature.
    """
    net = shaped.net
    edit = Edit(net)
    for index in net.find(PRIOR):
        height, width = shaped.read_by(index)[2:]
        size = edit.add("_zeros", f"{net.name(index)}_size", (), shape=(1, 1, height, width),
                        dtype="float32")
        edit.put(index, evolve(net.nodes[index], inputs=(size,), versions=()))
    return edit.net()
