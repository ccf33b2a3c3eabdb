"""What does not depend on the image is computed while exporting, by MXNet itself: anchors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssdreg.export.reading import Network, Operator
from ssdreg.export.translation import unsupported
from ssdreg.export.writer import Value
from ssdreg.graph.nodes import DATA, VARIABLE, Net, Node

#: Operators that look at the shape of an input from this one on, and not at its values.
SHAPE_ONLY = {"_contrib_MultiBoxPrior": 0, "zeros_like": 0, "ones_like": 0, "slice_like": 1,
              "broadcast_like": 1, "reshape_like": 1, "_contrib_BilinearResize2D": 1, "Crop": 1}
#: How the names of operators begin that are different each time.
_RANDOM = ("_random_", "_sample_", "_shuffle")


def find_constants(network: Network) -> frozenset[int]:
    """Return the indices of all operators, parameters included, that are the same for any image."""
    found: set[int] = set()
    for operator in network.operators:
        if operator.op == VARIABLE:
            constant = operator.name != DATA
        else:
            count = SHAPE_ONLY.get(operator.op, len(operator.inputs))
            constant = all(source in found for source, _ in operator.inputs[:count]) \
                and not any(any(shape.follows) for shape in operator.outputs)
        if constant:
            found.add(operator.index)
    return frozenset(found)


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
        # of an image, of which only the shape counts, the values do not matter
        array = np.zeros(value.sizes, np.float32) if value.array is None else value.array
        arrays[name] = mx.nd.array(array, dtype=array.dtype)
    running = {name: arrays.pop(name) for name in symbol.list_auxiliary_states()}
    bound = symbol.bind(mx.cpu(), arrays, grad_req="null", aux_states=running)
    return [Value.constant(output.asnumpy(), operator.name if index == 0 else
                           f"{operator.name}_{index}")
            for index, output in enumerate(bound.forward(is_train=False))]
