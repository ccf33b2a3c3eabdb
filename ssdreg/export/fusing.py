"""What follows a convolution and can be part of it: a cut at its front, batch normalisation.

A chain is a convolution with what is absorbed into it. The parameters of a normalisation go into
weights and bias, in double precision. A cut that takes whole first rows and columns off, as
networks with uneven padding have it, becomes less padding at the top and on the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from ssdreg.export.operators.convolutions import dilated_groups, window
from ssdreg.export.operators.normalizing import BATCH_NORMS, affine, channel_axis
from ssdreg.export.reading import Network, Operator
from ssdreg.export.writer import Value, Writer
from ssdreg.graph.nodes import Entry

_CONVOLUTIONS = ("Convolution", "Convolution_v1")


@frozen(eq=False)
class Chain:
    """A convolution and what is absorbed into it.

    `pads` are the padding that it gets (all before, all after), `norm` its normalisation;
    `operators` are all of them, the convolution first.
    """

    operators: tuple[Operator, ...]
    pads: tuple[int, ...]
    norm: Operator | None

    @property
    def convolution(self) -> Operator:
        """What absorbs the others."""
        return self.operators[0]

    @property
    def last(self) -> Operator:
        """The operator whose output is the chain's."""
        return self.operators[-1]


def find_chains(network: Network, constants: frozenset[int]) -> tuple[Chain, ...]:
    """Return the chains of more than a convolution; `constants` are the operators that are."""
    chains = (_chain(network, operator, constants) for operator in network.operators
              if operator.op in _CONVOLUTIONS and operator.index not in constants)
    return tuple(chain for chain in chains if len(chain.operators) > 1)


def _chain(network: Network, convolution: Operator, constants: frozenset[int]) -> Chain:
    rank = len(convolution.shape.sizes) - 2
    before = after = convolution.attrs.extent("pad", rank, 0)
    operators, norm = [convolution], None
    following = network.sole_reader(convolution)
    if following is not None and following.op == "slice":
        fewer = _less_padding(convolution, following, before)
        if fewer is not None:
            before = fewer
            operators.append(following)
            following = network.sole_reader(following)
    if (following is not None and following.op in BATCH_NORMS
            and following.inputs[0] == (operators[-1].index, 0)
            and len(following.outputs) == 1 and channel_axis(following, rank + 2) == 1
            and all(source in constants for source, _ in
                    (*convolution.inputs[1:], *following.inputs[1:]))):
        norm = following
        operators.append(norm)
    return Chain(tuple(operators), (*before, *after), norm)


def _less_padding(convolution: Operator, cut: Operator,
                  pads: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the padding before the map that makes a cut needless, if some does."""
    rank = len(pads)
    begins = [begin or 0 for begin in cut.attrs.sequence("begin")]
    begins += [0] * (rank + 2 - len(begins))
    if (any(step not in (None, 1) for step in cut.attrs.sequence("step"))
            or any(end is not None for end in cut.attrs.sequence("end"))
            or any(begins[:2]) or min(begins) < 0):
        return None
    left = [pad - begin * stride for pad, begin, stride in zip(
        pads, begins[2:], window(convolution)["strides"])]
    return tuple(left) if min(left) >= 0 else None


def write_chain(chain: Chain, values: Mapping[Entry, Value], writer: Writer) -> Value:
    """Write a chain as one Conv, called as its last operator."""
    convolution = chain.convolution
    inputs: Sequence[Value] = [values[port] for port in convolution.inputs]
    if chain.norm is not None:
        inputs = _normalized(chain.norm, inputs, [values[port] for port in chain.norm.inputs[1:]])
    return writer.node("Conv", inputs, chain.last.name, chain.last.shape, pads=chain.pads,
                       **window(convolution), **dilated_groups(convolution))


def _normalized(norm: Operator, inputs: Sequence[Value], moments: Sequence[Value]) -> list[Value]:
    data, weight, *bias = inputs
    scale, offset = affine(norm, [data, *moments])
    kernel = np.asarray(weight.array, np.float64)
    folded = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    if bias:
        offset = offset + np.asarray(bias[0].array, np.float64) * scale
    return [data, Value.constant(folded.astype(np.float32), weight.label),
            Value.constant(offset.astype(np.float32), f"{norm.name}_offset")]
