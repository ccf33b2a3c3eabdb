"""A worker that multiplies two square matrices with one engine: ``python -m`` this module.

Its job is ``{"engine", "precision", "side", "threads"}``. What it multiplies by is a constant, as
weights are, so that an engine may lay it out beforehand. The integers of int8 are those of
networks: unsigned activations, signed weights; of 7 bits, whose products no processor cuts off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ssdreg.bench.protocol import Ready, serve
from ssdreg.errors import SsdregError

Work = Callable[[], object]


def prepare(job: Mapping[str, Any]) -> Ready:
    """Make the matrices and hand them to the engine."""
    work = WORK[job["engine"], job["precision"]](job["side"], job["threads"])
    work()
    return {}, work


def _floats(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    return (rng.uniform(0, 1, (side, side)).astype("float32"),
            rng.uniform(-1, 1, (side, side)).astype("float32"))


def _integers(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    return (rng.randint(0, 256, (side, side)).astype("uint8"),
            rng.randint(-63, 64, (side, side)).astype("int8"))


def _numpy(side: int, threads: int) -> Work:
    left, right = _floats(side)
    return lambda: left @ right


def _mxnet(side: int, threads: int) -> Work:
    from ssdreg.mx import mx
    left, right = map(mx.nd.array, _floats(side))
    return lambda: mx.nd.FullyConnected(left, right, num_hidden=side, no_bias=True).wait_to_read()


def _onnx(nodes: list[Any], left: np.ndarray, constants: Mapping[str, np.ndarray]) -> bytes:
    """Write a model of the input ``left`` and the output ``product``."""
    from onnx import helper, numpy_helper
    kind = helper.np_dtype_to_tensor_dtype(left.dtype)
    graph = helper.make_graph(
        nodes, "peak", [helper.make_tensor_value_info("left", kind, left.shape)],
        [helper.make_empty_tensor_value_info("product")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    # IR version 8 and opset 17: the supported versions of both runtimes read them
    model: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                     ir_version=8).SerializeToString()
    return model


def _floating_model(side: int) -> tuple[bytes, np.ndarray]:
    from onnx import helper
    left, right = _floats(side)
    node = helper.make_node("MatMul", ["left", "right"], ["product"])
    return _onnx([node], left, {"right": right}), left


def _integer_model(side: int) -> tuple[bytes, np.ndarray]:
    from onnx import helper
    left, right = _integers(side)
    node = helper.make_node("MatMulInteger", ["left", "right"], ["product"])
    return _onnx([node], left, {"right": right}), left


def _quantized_model(side: int) -> tuple[bytes, np.ndarray]:
    """Write floats that are quantised on the way, which is how OpenVINO has int8."""
    from onnx import helper
    left, right = _floats(side)[0], _integers(side)[1]
    constants = {"right": right, "scale": np.float32(1 / 127), "left_zero": np.uint8(0),
                 "right_zero": np.int8(0)}
    nodes = [helper.make_node("QuantizeLinear", ["left", "scale", "left_zero"], ["quantised"]),
             helper.make_node("DequantizeLinear", ["quantised", "scale", "left_zero"], ["a"]),
             helper.make_node("DequantizeLinear", ["right", "scale", "right_zero"], ["b"]),
             helper.make_node("MatMul", ["a", "b"], ["product"])]
    return _onnx(nodes, left, {name: np.asarray(value) for name, value in constants.items()}), left


def _onnxruntime(model: Callable[[int], tuple[bytes, np.ndarray]]) -> Callable[[int, int], Work]:
    def work(side: int, threads: int) -> Work:
        from ssdreg_runtime.system.telemetry import no_telemetry
        with no_telemetry():
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        written, left = model(side)
        session = onnxruntime.InferenceSession(written, options,
                                               providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"left": left})
    return work


def _openvino(model: Callable[[int], tuple[bytes, np.ndarray]], hint: str
              ) -> Callable[[int, int], Work]:
    def work(side: int, threads: int) -> Work:
        from ssdreg_runtime.system.telemetry import no_telemetry
        with no_telemetry():
            import openvino
        written, left = model(side)
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(written), "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads})
        request = compiled.create_infer_request()
        # copied: a shared one would have to be kept alive with the request
        request.set_input_tensor(openvino.Tensor(left))
        return request.infer
    return work


#: How each engine multiplies in each precision: (side, threads) to the work.
WORK: Mapping[tuple[str, str], Callable[[int, int], Work]] = {
    ("numpy", "float32"): _numpy,
    ("mxnet", "float32"): _mxnet,
    ("onnxruntime", "float32"): _onnxruntime(_floating_model),
    ("onnxruntime", "int8"): _onnxruntime(_integer_model),
    ("openvino", "float32"): _openvino(_floating_model, "f32"),
    ("openvino", "bfloat16"): _openvino(_floating_model, "bf16"),
    ("openvino", "int8"): _openvino(_quantized_model, "f32"),
}

if __name__ == "__main__":
    sys.exit(serve(prepare, SsdregError))
