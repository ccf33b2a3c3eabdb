"""A worker that runs a model or a part of it: ``python -m`` this module.

Its job is ``{"backend", "part", "model", "images", "batch", "threads"}``, the part one of

- ``whole``: all of it
- ``network``: cut off behind its predictions
- ``rest``: what is cut off, on predictions that the network made before

The engines are used directly and alike for all parts, because a part is no detector any more,
which is all that backends open.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdreg.bench.post import (
    NETWORK,
    REST,
    WHOLE,
    cut_model,
    cut_symbol,
    rest_model,
    rest_symbol,
)
from ssdreg.bench.protocol import Ready, serve
from ssdreg.bench.workload import LOOKED_AT, batches
from ssdreg.deploy.model import DeployModel
from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: What goes into a part: values by name, images in the batch of the job among them.
Inputs = Mapping[str, np.ndarray]
#: Runs a part; what comes out is by name too.
Run = Callable[[Inputs], Mapping[str, np.ndarray]]

IMAGES = "images"


def prepare(job: Mapping[str, Any]) -> Ready:
    """Open the part and run it on all images once."""
    make = ENGINES[job["backend"]]
    inputs: list[Inputs] = [{IMAGES: images} for images in batches(
        np.load(job["images"])[:LOOKED_AT], job["batch"])]
    if job["part"] == REST:
        network = make(job, NETWORK)
        # copied, because an engine may hand out its own memory
        inputs = [{name: value.copy() for name, value in network(images).items()}
                  for images in inputs]
    run = make(job, job["part"])
    for values in inputs:
        run(values)
    coming = cycle(inputs)
    return {}, lambda: run(next(coming))


def _mxnet(job: Mapping[str, Any], part: str) -> Run:
    from ssdreg.deploy.model import open_deploy_model
    from ssdreg.mx import mx
    source = open_deploy_model(job["model"])
    shape = (job["batch"], 3, *source.plan.data_shape)
    if part == REST:
        return _mxnet_rest(source, shape)
    executor = _bind(source, source.symbol if part == WHOLE else cut_symbol(source.symbol), shape)
    mean = np.array(source.plan.preprocessing.mean, "float32")
    std = np.array(source.plan.preprocessing.std, "float32")

    def run(inputs: Inputs) -> Mapping[str, np.ndarray]:
        values = ((inputs[IMAGES] - mean) / std).transpose(0, 3, 1, 2)
        outputs = executor.forward(is_train=False, data=mx.nd.array(values))
        return dict(zip(("scores", "offsets"), (output.asnumpy() for output in outputs)))
    return run


def _bind(source: DeployModel, symbol: mx.sym.Symbol, shape: tuple[int, ...]) -> mx.Executor:
    from ssdreg.mx import mx
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=shape)
    executor.copy_params_from(dict(source.params.args), dict(source.params.auxs),
                              allow_extra_params=True)
    return executor


def _mxnet_rest(source: DeployModel, shape: tuple[int, ...]) -> Run:
    from ssdreg.mx import mx
    arrays = _bind(source, source.symbol.get_children(), shape).forward(is_train=False)
    read = dict(zip(("scores", "offsets", "anchors"), arrays))
    executor = rest_symbol(source.symbol).simple_bind(
        mx.cpu(), grad_req="null", **{name: value.shape for name, value in read.items()})
    executor.copy_params_from({"anchors": read["anchors"]})

    def run(inputs: Inputs) -> Mapping[str, np.ndarray]:
        outputs = executor.forward(is_train=False, **{
            name: mx.nd.array(value) for name, value in inputs.items()})
        return {"detection": outputs[0].asnumpy()}
    return run


def _model(job: Mapping[str, Any], part: str) -> bytes:
    if part == WHOLE:
        return Path(job["model"]).read_bytes()
    import onnx
    cut = rest_model if part == REST else cut_model
    model: bytes = cut(onnx.load(job["model"])).SerializeToString()
    return model


def _onnxruntime(job: Mapping[str, Any], part: str) -> Run:
    from ssdreg_runtime.system.telemetry import no_telemetry
    with no_telemetry():
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = onnxruntime.InferenceSession(_model(job, part), options,
                                           providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs))))


def _openvino(job: Mapping[str, Any], part: str) -> Run:
    from ssdreg_runtime.system.telemetry import no_telemetry
    with no_telemetry():
        import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(_model(job, part)), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": job["threads"]})
    request = compiled.create_infer_request()

    def run(inputs: Inputs) -> Mapping[str, np.ndarray]:
        # looked at in place: copying what is cut off would be counted as the network's
        outputs = request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        return {min(port.get_names()): value for port, value in outputs.items()}
    return run


#: How each engine opens a part of a job's model.
ENGINES: Mapping[str, Callable[[Mapping[str, Any], str], Run]] = {
    "mxnet": _mxnet, "onnxruntime": _onnxruntime, "openvino": _openvino}

if __name__ == "__main__":
    sys.exit(serve(prepare, SsdregError))
