"""Constant folding: operators that do not depend on the image, such as anchors, run in MXNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.exporting.reading import Operator, OperatorGraph
from ssdreg.exporting.translation import unsupported
from ssdreg.exporting.writer import Value
from ssdreg.graph.nodes import DATA, VARIABLE, Net, Node

#: Operators that use only the shapes of their inputs from this index on, not their values.
SHAPE_ONLY = {"_contrib_MultiBoxPrior": 0, "zeros_like": 0, "ones_like": 0, "slice_like": 1,
              "broadcast_like": 1, "reshape_like": 1, "_contrib_BilinearResize2D": 1, "Crop": 1}
#: Prefixes of operators with random outputs.
_RANDOM = ("_random_", "_sample_", "_shuffle")


def find_constants(network: OperatorGraph) -> frozenset[int]:
    """Return the indices of operators, parameters included, with the same output for any image."""
    constants: set[int] = set()
    for operator in network.operators:
        if operator.is_variable:
            is_constant = operator.name != DATA
        else:
            count = SHAPE_ONLY.get(operator.op, len(operator.inputs))
            is_constant = all(index in constants for index, _ in operator.inputs[:count]) \
                and not any(any(shape.follows) for shape in operator.outputs)
        if is_constant:
            constants.add(operator.index)
    return frozenset(constants)


def evaluate(operator: Operator, inputs: Sequence[Value]) -> list[Value]:
    """Run one operator in MXNet and return its outputs as constants."""
    from ssdreg.mx import mx
    if operator.op.startswith(_RANDOM):
        raise unsupported(operator, "it draws at random")
    names = [f"input{index}" for index in range(len(inputs))]
    count = len(inputs)
    alone = Node(operator.op, "result", operator.attrs, tuple((index, 0) for index in range(count)))
    symbol = Net([*(Node(VARIABLE, name) for name in names), alone],
                 [(count, index) for index in range(len(operator.outputs))]).symbol()
    arrays = {}
    for name, value in zip(names, inputs):
        # the values of an input of which only the shape is used do not matter
        array = np.zeros(value.sizes, np.float32) if value.array is None else value.array
        arrays[name] = mx.nd.array(array, dtype=array.dtype)
    aux_states = {name: arrays.pop(name) for name in symbol.list_auxiliary_states()}
    executor = symbol.bind(mx.cpu(), arrays, grad_req="null", aux_states=aux_states)
    return [Value.constant(output.asnumpy(), operator.name if index == 0 else
                           f"{operator.name}_{index}")
            for index, output in enumerate(executor.forward(is_train=False))]
