"""An ONNX detector's graph, prepared for quantisation.

Three things are done to it, none of which changes what it computes:

- Weights get names that nothing else has. ONNX Runtime's quantiser calls the scale of a tensor
  ``x`` ``x_scale``, and takes a weight that happens to be called so for it.
- Batch normalisation that could not be folded into a convolution (it stands before one, behind a
  sum, as in residual networks of the second kind) becomes a convolution with a kernel of one cell
  and a group for each channel. ONNX Runtime has no batch normalisation in int8: it would leave
  int8, turn the layout, and come back, at every unit of such a network.
- What is the network, and may be quantised, is told from what is around it: normalisation before
  it; softmax, decoding and suppression behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssdreg.graph.stretches import between

if TYPE_CHECKING:
    import onnx

#: Before the name of every weight; no name of MXNet's begins like this.
WEIGHT = "weight:"


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that is ready to be quantised: weights named apart, no batch normalisation."""
    import onnx
    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    _rename_weights(prepared.graph)
    _replace_norms(prepared.graph, network_nodes(prepared))
    return prepared


def network_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the nodes that are the network, in their order.

    These are the convolutions and everything that stands between two of them.
    """
    nodes = model.graph.node
    inside = between(sources(model.graph), [index for index, node in enumerate(nodes)
                                            if node.op_type == "Conv"])
    return tuple(node.name for index, node in enumerate(nodes) if index in inside)


def sources(graph: onnx.GraphProto) -> list[list[int]]:
    """Return, for each node, the places of those that it reads."""
    made_by = {name: index for index, node in enumerate(graph.node) for name in node.output}
    return [[made_by[name] for name in node.input if name in made_by] for node in graph.node]


def _rename_weights(graph: onnx.GraphProto) -> None:
    names = {tensor.name for tensor in graph.initializer}
    for tensor in graph.initializer:
        tensor.name = f"{WEIGHT}{tensor.name}"
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in names:
                node.input[index] = f"{WEIGHT}{name}"


def _replace_norms(graph: onnx.GraphProto, network: tuple[str, ...]) -> None:
    from onnx import helper, numpy_helper
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inside, replaced = set(network), set()
    for node in graph.node:
        if node.op_type != "BatchNormalization" or node.name not in inside:
            continue
        scale, offset, mean, variance = (
            numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5])
        epsilon = next((attribute.f for attribute in node.attribute
                        if attribute.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + epsilon)
        kernel, bias = f"{WEIGHT}{node.name}_kernel", f"{WEIGHT}{node.name}_bias"
        graph.initializer.extend([
            numpy_helper.from_array(factor.astype(np.float32).reshape(-1, 1, 1, 1), kernel),
            numpy_helper.from_array((offset - mean * factor).astype(np.float32), bias)])
        replaced.update(node.input[1:5])
        node.CopyFrom(helper.make_node("Conv", [node.input[0], kernel, bias], node.output[:1],
                                       name=node.name, group=len(factor), kernel_shape=[1, 1]))
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer
            if tensor.name in read or tensor.name not in replaced]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def nodes_with_weights(model: onnx.ModelProto, weights: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the nodes that multiply with these weights, called as in the network."""
    return tuple(node.name for node in model.graph.node
                 if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
                 and len(node.input) > 1 and node.input[1] in weights)
