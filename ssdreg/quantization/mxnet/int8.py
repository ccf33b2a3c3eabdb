"""int8 for MXNet: oneDNN's operators of 8 bits, scales from real images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.errors import ModelError
from ssdreg.graph.nodes import Net
from ssdreg.graph.stretches import outside_network, weighted
from ssdreg.quantization.images import normalized
from ssdreg.quantization.mxnet.arranging import cuts_last
from ssdreg.runs.params import Params

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: How MXNet calls the pass that joins convolutions with what follows them, for int8.
_BACKEND = "MKLDNN_QUANTIZE"


def quantize_mxnet(source: DeployModel, batches: Iterable[np.ndarray],
                   keep: Sequence[str] = ()) -> DeployModel:
    """Return a detector that MXNet computes in int8, its scales from real images.

    `batches` are (B, H, W, 3) uint8, of the plan's size. Activations are 8 bits, without sign
    where none is below zero, weights 8 bits with a scale for each output channel. The parameters
    stay float32: oneDNN makes the 8 bits of them when the network is bound, batch normalisation
    folded in. Softmax, decoding and suppression stay float32, and so do the convolutions whose
    names are in `keep`. The symbol can be bound for any batch, but it cannot be trained.

    Raises DataError without images, ModelError for a source that is not float32.
    """
    from ssdreg.mx import mx
    refuse_unless_float32(source)
    quantization = mx.contrib.quantization
    with mx.name.NameManager():
        fused = cuts_last(source.symbol).get_backend_symbol(_BACKEND)
        net = Net.of(fused)
        kept = [node.name for node in net.nodes if set(weighted(node)) & set(keep)]
        args, auxs = dict(source.params.args), dict(source.params.auxs)
        quantized, _, _, collector = quantization.quantize_graph(
            fused, args, auxs, excluded_sym_names=[*outside_network(net), *kept],
            calib_mode="naive", quantized_dtype="auto", quantize_mode="smart", logger=None)
        _collect(fused, source, batches, collector)
        calibrated, args, auxs = quantization.calib_graph(
            quantized, args, auxs, collector, calib_mode="naive", quantized_dtype="auto",
            logger=None)
        symbol = calibrated.get_backend_symbol(_BACKEND)
    return evolve(source, symbol=symbol, params=Params(args, auxs))


def refuse_unless_float32(source: DeployModel) -> None:
    """Raise ModelError for a source that computes in other numbers than float32."""
    precision = facts_of(source).precision
    if precision != "float32":
        raise ModelError(f"{source.name} is {precision} already, as `ssdreg quantize` wrote it: "
                         f"give the run that it was made from")


def _collect(symbol: mx.sym.Symbol, source: DeployModel, batches: Iterable[np.ndarray],
             collector: Any) -> None:
    """Run a symbol on images and let MXNet's collector see what every operator gives out."""
    from ssdreg.mx import mx
    executors: dict[int, mx.executor.Executor] = {}
    for batch in normalized(batches, source.plan.preprocessing):
        executor = executors.get(len(batch))
        if executor is None:
            executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=batch.shape)
            executor.copy_params_from(dict(source.params.args), dict(source.params.auxs),
                                      allow_extra_params=True)
            executor.set_monitor_callback(collector.collect, monitor_all=True)
            executors[len(batch)] = executor
        executor.forward(is_train=False, data=mx.nd.array(batch))[0].wait_to_read()
