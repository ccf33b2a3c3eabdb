"""What does not depend on the image is computed while exporting, by MXNet itself: anchors."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ssdreg.export.reading import Operator
from ssdreg.export.writer import Value

#: Operators that look at the shape of what they read, and not at its values.
SHAPE_ONLY = {"_contrib_MultiBoxPrior", "zeros_like", "ones_like", "shape_array"}


def is_constant(operator: Operator, inputs: Sequence[Value]) -> bool:
    """Tell whether an operator's result is the same for every image."""
    if operator.op in SHAPE_ONLY:
        return not any(any(shape.follows) for shape in operator.outputs)
    return all(value.array is not None for value in inputs)


def evaluate(operator: Operator, inputs: Sequence[Value]) -> list[Value]:
    """Run one operator in MXNet and return its outputs as constants."""
    from ssdreg.mx import mx
    names = [f"input{index}" for index in range(len(inputs))]
    count = len(inputs)
    nodes = [*({"op": "null", "name": name, "inputs": []} for name in names),
             {"op": operator.op, "name": "result", "attrs": dict(operator.attrs.texts),
              "inputs": [[index, 0, 0] for index in range(count)]}]
    symbol = mx.sym.load_json(json.dumps({
        "nodes": nodes, "arg_nodes": list(range(count)), "node_row_ptr": list(range(count + 2)),
        "heads": [[count, index, 0] for index in range(len(operator.outputs))],
        "attrs": {"mxnet_version": ["int", 10901]}}))
    arrays = {name: mx.nd.array(np.zeros(value.sizes) if value.array is None else value.array)
              for name, value in zip(names, inputs)}
    bound = symbol.bind(mx.cpu(), arrays, grad_req="null")
    return [Value.constant(output.asnumpy(), operator.name if index == 0 else
                           f"{operator.name}_{index}")
            for index, output in enumerate(bound.forward(is_train=False))]
