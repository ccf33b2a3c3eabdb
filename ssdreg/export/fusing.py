"""What follows a convolution and can be part of it: a cut at its front, batch normalisation.

A chain is a convolution with what is absorbed into it. The parameters of a normalisation go into
weights and bias, in double precision. A cut that takes whole first rows and columns off, as
networks with uneven padding have it, becomes less padding at the top and on the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from ssdreg.export.convolutions import affine
from ssdreg.export.reading import Network, Operator
from ssdreg.export.writer import Value, Writer

_CONVOLUTIONS = ("Convolution", "Convolution_v1")


@frozen(eq=False)
class Chain:
    """A convolution, the padding (top, left, bottom, right) that it gets, and its normalisation."""

    convolution: Operator
    pads: tuple[int, int, int, int]
    norm: Operator | None
    last: Operator


def find_chains(network: Network) -> dict[int, Chain]:
    """Return the chains of more than a convolution, by the index of their last operator."""
    chains = (_chain(network, operator) for operator in network.operators
              if operator.op in _CONVOLUTIONS)
    return {chain.last.index: chain for chain in chains if chain.last is not chain.convolution}


def _chain(network: Network, convolution: Operator) -> Chain:
    down, across = convolution.attrs.pair("pad", 0)
    pads, norm, last = (down, across, down, across), None, convolution
    following = network.sole_reader(last)
    if following is not None and following.op == "slice":
        fewer = _less_padding(convolution, following)
        if fewer is not None:
            pads, last = (*fewer, down, across), following
            following = network.sole_reader(last)
    if (following is not None and following.op == "BatchNorm"
            and following.inputs[0][0] == last.index
            and following.attrs.integer("axis", 1) == 1
            and all(_is_parameter(network, source) for source, _ in
                    (*convolution.inputs[1:], *following.inputs[1:]))):
        norm = last = following
    return Chain(convolution, pads, norm, last)


def _less_padding(convolution: Operator, cut: Operator) -> tuple[int, int] | None:
    """Return the padding at the top and on the left that makes a cut needless, if some does."""
    if cut.attrs.given("step"):
        return None
    begins, ends = (cut.attrs.sequence(name) for name in ("begin", "end"))
    whole = [end is None for end in ends]
    taken = [begin or 0 for begin in begins]
    if not all(whole) or len(taken) != 4 or any(taken[:2]) or min(taken) < 0:
        return None
    top, left = (pad - cells * stride for pad, cells, stride in zip(
        convolution.attrs.pair("pad", 0), taken[2:], convolution.attrs.pair("stride", 1)))
    return (top, left) if min(top, left) >= 0 else None


def _is_parameter(network: Network, source: int) -> bool:
    return network.operators[source].op == "null"


def write_chain(chain: Chain, values: Mapping[tuple[int, int], Value], writer: Writer) -> Value:
    """Write a chain as one Conv, called as its last operator."""
    convolution = chain.convolution
    inputs: Sequence[Value] = [values[port] for port in convolution.inputs]
    if chain.norm is not None:
        inputs = _normalised(chain.norm, inputs, [values[port] for port in chain.norm.inputs[1:]])
    attrs = convolution.attrs
    return writer.node("Conv", inputs, chain.last.name, chain.last.shape, pads=chain.pads,
                       kernel_shape=attrs.pair("kernel", 1), strides=attrs.pair("stride", 1),
                       dilations=attrs.pair("dilate", 1), group=attrs.integer("num_group", 1))


def _normalised(norm: Operator, inputs: Sequence[Value], moments: Sequence[Value]) -> list[Value]:
    data, weight, *bias = inputs
    scale, offset = affine(norm, [data, *moments])
    kernel = np.asarray(weight.array, np.float64)
    folded = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    if bias:
        offset = offset + np.asarray(bias[0].array, np.float64) * scale
    return [data, Value.constant(folded.astype(np.float32), weight.label),
            Value.constant(offset.astype(np.float32), f"{norm.name}_offset")]
