"""bfloat16 for MXNet: the network in it, all else in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from ssdreg.deploy.model import DeployModel
from ssdreg.graph.nodes import Net
from ssdreg.graph.stretches import outside_network
from ssdreg.quantization.mxnet.arranging import cuts_last
from ssdreg.quantization.mxnet.int8 import refuse_unless_float32

if TYPE_CHECKING:
    from ssdreg.mx import mx


def bfloat16_mxnet(source: DeployModel) -> DeployModel:
    """Return a detector whose network MXNet computes in bfloat16.

    The parameters stay float32 and are rounded when they are used; softmax, decoding and
    suppression stay float32. The symbol runs on any processor. MXNet's oneDNN is of 2021 and uses
    AVX-512 BF16, but not AMX, and rounds the weights anew for every batch: expect no speed from
    it, and measure.

    Raises ModelError for a source that is not float32.
    """
    from ssdreg.mx import mixed_precision, mx
    refuse_unless_float32(source)
    with mx.name.NameManager():
        symbol = cuts_last(source.symbol)
        converted = mixed_precision().convert_symbol(
            symbol, target_dtype="bfloat16",
            excluded_sym_names=list(outside_network(Net.of(symbol))))
        return evolve(source, symbol=_with_plain_casts(converted))


def _with_plain_casts(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Write conversions as ``Cast``: ``amp_cast`` is left out where a symbol is saved."""
    net = Net.of(symbol)
    return net.replaced({index: evolve(net.nodes[index], op="Cast")
                         for index in net.find("amp_cast")}).symbol()
