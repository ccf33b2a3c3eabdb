"""Any symbol as ONNX, without a detector behind it, and what MXNet and the runtimes make of it."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import pytest
from attrs import frozen
from onnx import TensorProto, helper
from ssdreg_runtime.system.telemetry import no_telemetry

from ssdreg.exporting.options import OLDEST_OPSET
from ssdreg.exporting.reading import Shape, read_network
from ssdreg.exporting.walking import write_network
from ssdreg.exporting.writer import Value, Writer
from ssdreg.graph.nodes import DATA
from ssdreg.mx import mx

with no_telemetry():
    import onnxruntime

#: Height and width, with no factor in common.
SHAPE = (9, 14)
OUTPUT = "result"
#: Models of OpenVINO, never freed: see ssdreg_runtime/backends/openvino.py.
ALIVE = []


#: How ONNX Runtime refuses a set of operators: its versions differ.
refusals = onnxruntime.capi.onnxruntime_pybind11_state


def newest_opset():
    """Return the newest set of operators that both onnx and ONNX Runtime know."""
    for opset in range(onnx.defs.onnx_opset_version(), OLDEST_OPSET, -1):
        try:
            session(model_of(Writer(opset, 1, np.dtype("float32")), Value(
                Shape.fixed((1, 3, *SHAPE)), DATA), SHAPE))
        except (refusals.Fail, refusals.InvalidArgument):
            continue
        return opset
    raise AssertionError("ONNX Runtime reads nothing that onnx writes")


def drawn(name, shape):
    """Return one parameter, chosen by its name; variances and scales are above 0."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith(("var", "gamma")):
        return random.uniform(.5, 1.5, shape).astype("float32")
    return random.normal(0, 1, shape).astype("float32")


def images(batch, shape=SHAPE):
    return np.random.RandomState(7).normal(0, 1.5, (batch, 3, *shape)).astype("float32")


@frozen(eq=False)
class Case:
    """A symbol with parameters."""

    symbol: mx.sym.Symbol
    params: dict[str, np.ndarray]
    shape: tuple[int, int] = SHAPE

    def run(self, data):
        """Run it in MXNet, as in inference."""
        values = {name: mx.nd.array(value) for name, value in {**self.params, DATA: data}.items()}
        arguments, _, _ = self.symbol.infer_shape(**{DATA: data.shape})
        for name, shape in zip(self.symbol.list_arguments(), arguments):
            # labels, at which nobody looks
            values.setdefault(name, mx.nd.zeros(shape))
        with pytest.MonkeyPatch.context() as patch:
            # operator by operator: fused, MXNet normalises other axes than 1 wrongly, and adds
            # wrongly to a convolution that a normalisation reads too
            patch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")
            bound = self.symbol.bind(
                mx.cpu(), {name: values[name] for name in self.symbol.list_arguments()},
                aux_states={name: values[name] for name in self.symbol.list_auxiliary_states()},
                grad_req="null")
        (output,) = bound.forward(is_train=False)
        return output.asnumpy()

    def export(self, opset=OLDEST_OPSET, batch=None, dtype="float32"):
        """Write it as an ONNX model with the input ``data``, checked."""
        network = read_network(self.symbol, self.shape,
                               {name: value.shape for name, value in self.params.items()})
        writer = Writer(opset, batch, np.dtype(dtype))
        for name in (DATA, OUTPUT):
            writer.reserve(name)

        def leaf(operator):
            if operator.name == DATA:
                return Value(operator.shape, DATA)
            return Value.constant(self.params[operator.name].astype("float32"), operator.name)
        values = write_network(network, [network.output[0]], leaf, writer)
        return model_of(writer, values[network.output], self.shape)


def model_of(writer, result, shape):
    """Put a graph together that ends in a value, under the name ``result``."""
    kind = helper.np_dtype_to_tensor_dtype(writer.dtype)
    batch = "batch" if writer.batch is None else writer.batch
    sizes = ["batch" if size == -1 else size for size in result.shape.of(writer.batch)]
    # a result of its own name, even where it is the input
    node = helper.make_node("Identity", [writer.named(result)], [OUTPUT])
    opset = [helper.make_opsetid("", writer.opset)]
    model = helper.make_model(helper.make_graph(
        [*writer.nodes, node], "case",
        [helper.make_tensor_value_info(DATA, kind, [batch, 3, *shape])],
        [helper.make_tensor_value_info(OUTPUT, kind, sizes)], [*writer.constants.values()]),
        opset_imports=opset, ir_version=helper.find_min_ir_version_for(opset))
    onnx.checker.check_model(model, full_check=True)
    return model


def case(make, shape=SHAPE, **params):
    """Make a case of a function from the symbol of the images; parameters are drawn by name."""
    with mx.name.NameManager():
        symbol = make(mx.sym.Variable(DATA))
    given = {name: value.shape for name, value in params.items()}
    arguments, _, auxiliary = symbol.infer_shape(**{DATA: (2, 3, *shape), **given})
    shapes = {**dict(zip(symbol.list_arguments(), arguments)),
              **dict(zip(symbol.list_auxiliary_states(), auxiliary))}
    return Case(symbol, {name: params.get(name, drawn(name, size))
                         for name, size in shapes.items()
                         if name != DATA and not name.endswith("label")}, shape)


def session(model):
    """Load a model in ONNX Runtime, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


def run(model, data):
    """Run a model in ONNX Runtime."""
    (found,) = session(model).run(None, {DATA: data})
    return found


def run_openvino(model, data):
    """Run a model in OpenVINO, in one thread and float32."""
    with no_telemetry():
        openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
    ALIVE.append(compiled)
    return compiled([data])[0]


def apart(found, expected):
    """Return the greatest difference, relative to the greatest value; infinite for other shapes."""
    if found.shape != expected.shape or not np.isfinite(expected).all():
        return np.inf
    scale = max(float(np.abs(expected).max()), 1e-6)
    return float(np.abs(found.astype("float64") - expected).max()) / scale


def float_type(model):
    """Return the type of a model's input, as its name in ONNX."""
    return TensorProto.DataType.Name(model.graph.input[0].type.tensor_type.elem_type)


#: The oldest set of operators, one in which reductions changed, and the newest.
OPSETS = (OLDEST_OPSET, 18, newest_opset())
