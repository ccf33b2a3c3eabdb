"""Fusion of convolutions with the operators behind them: a cut at the front, batch normalisation.

A chain is a convolution with the operators fused into it. The parameters of a normalisation are
folded into weights and bias, in double precision. A cut that removes whole first rows and columns,
as networks with uneven padding have it, becomes less padding at the top and on the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from ssdreg.exporting.operators.convolutions import dilated_groups, window
from ssdreg.exporting.operators.normalizing import BATCH_NORMS, affine, channel_axis
from ssdreg.exporting.reading import Operator, OperatorGraph
from ssdreg.exporting.writer import Value, Writer
from ssdreg.graph.nodes import Entry

_CONVOLUTIONS = ("Convolution", "Convolution_v1")


@frozen(eq=False)
class Chain:
    """A convolution and the operators fused into it.

    `pads` is its padding after fusion (all before, all after), `norm` the normalisation;
    `operators` are all of them, the convolution first.
    """

    operators: tuple[Operator, ...]
    pads: tuple[int, ...]
    norm: Operator | None

    @property
    def convolution(self) -> Operator:
        """The convolution that the others are fused into."""
        return self.operators[0]

    @property
    def last(self) -> Operator:
        """The operator whose output is the chain's."""
        return self.operators[-1]


def find_chains(network: OperatorGraph, constants: frozenset[int]) -> tuple[Chain, ...]:
    """Return the chains of two operators or more; `constants` are the constant operators."""
    chains = (_chain(network, operator, constants) for operator in network.operators
              if operator.op in _CONVOLUTIONS and operator.index not in constants)
    return tuple(chain for chain in chains if len(chain.operators) > 1)


def _chain(network: OperatorGraph, convolution: Operator, constants: frozenset[int]) -> Chain:
    rank = len(convolution.shape.sizes) - 2
    before = after = convolution.attrs.extent("pad", rank, 0)
    operators, norm = [convolution], None
    reader = network.sole_reader(convolution)
    if reader is not None and reader.op == "slice":
        fused_pads = _pads_without_cut(convolution, reader, before)
        if fused_pads is not None:
            before = fused_pads
            operators.append(reader)
            reader = network.sole_reader(reader)
    if (reader is not None and reader.op in BATCH_NORMS
            and reader.inputs[0] == (operators[-1].index, 0)
            and len(reader.outputs) == 1 and channel_axis(reader, rank + 2) == 1
            and all(input_index in constants for input_index, _ in
                    (*convolution.inputs[1:], *reader.inputs[1:]))):
        norm = reader
        operators.append(norm)
    return Chain(tuple(operators), (*before, *after), norm)


def _pads_without_cut(convolution: Operator, cut: Operator,
                      pads: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the padding before the map that replaces a cut; None where none does."""
    rank = len(pads)
    begins = [begin or 0 for begin in cut.attrs.sequence("begin")]
    begins += [0] * (rank + 2 - len(begins))
    if (any(step not in (None, 1) for step in cut.attrs.sequence("step"))
            or any(end is not None for end in cut.attrs.sequence("end"))
            or any(begins[:2]) or min(begins) < 0):
        return None
    pads_left = [pad - begin * stride for pad, begin, stride in zip(
        pads, begins[2:], window(convolution)["strides"])]
    return tuple(pads_left) if min(pads_left) >= 0 else None


def write_chain(chain: Chain, values: Mapping[Entry, Value], writer: Writer) -> Value:
    """Write a chain as one Conv with the name of its last operator."""
    convolution = chain.convolution
    inputs: Sequence[Value] = [values[port] for port in convolution.inputs]
    if chain.norm is not None:
        inputs = _normalized(chain.norm, inputs, [values[port] for port in chain.norm.inputs[1:]])
    return writer.node("Conv", inputs, chain.last.name, chain.last.shape, pads=chain.pads,
                       **window(convolution), **dilated_groups(convolution))


def _normalized(norm: Operator, inputs: Sequence[Value], moments: Sequence[Value]) -> list[Value]:
    data, weight, *bias = inputs
    scale, offset = affine(norm, [data, *moments])
    kernel = np.asarray(weight.array)
    # computed in double precision piece by piece, without a copy of that size
    folded = np.multiply(kernel, scale.reshape(-1, *[1] * (kernel.ndim - 1)), dtype=np.float64,
                         out=np.empty(kernel.shape, np.float32), casting="same_kind")
    if bias:
        offset = offset + np.asarray(bias[0].array, np.float64) * scale
    return [data, Value.constant(folded, weight.label),
            Value.constant(offset.astype(np.float32), f"{norm.name}_offset")]
