"""What post-processing takes: softmax, decoding, suppression.

The same network is measured as a whole, cut off behind its predictions, and what was cut off by
itself, on predictions of real images, all in turns. The difference of the first two would be the
truth, were it not the small difference of two large numbers; the third is exact, but has its
inputs in the caches. The cut is made in the model, by its structure: what no convolution or matrix
product comes behind is post-processing, but for the turning and joining of predictions, which is
the network's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ssdreg import ops
from ssdreg.bench.figures import Configuration, Missing, Post, make_post
from ssdreg.bench.measure import Listener, Schedule, measure, quiet
from ssdreg.bench.settings import environment, thread_count
from ssdreg.bench.workers import Task
from ssdreg.bench.workload import PreparedWorkload
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.graph.nodes import Entry, Net, reached
from ssdreg.quantization.onnxruntime.graph import sources

if TYPE_CHECKING:
    import onnx

    from ssdreg.mx import mx

POST_BACKENDS = ("mxnet", "onnxruntime", "openvino")
#: What is measured of each: see `ssdreg.bench.post_worker`.
WHOLE, NETWORK, REST = PARTS = ("whole", "network", "rest")
#: What a network works with, in ONNX.
_WORK = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv"}
#: What only lays values out anew, in ONNX; it reads at most shapes besides.
_LAYOUT = {"Transpose", "Reshape", "Flatten", "Concat", "Identity", "Squeeze", "Unsqueeze"}


def measure_post(configurations: Sequence[Configuration], models: Mapping[str, str],
                 prepared: PreparedWorkload, batch: int, threads: int | None, schedule: Schedule,
                 report: Listener = quiet) -> tuple[list[Post], list[Missing]]:
    """Measure post-processing of each configuration; where that fails, say why."""
    tasks = [Task(f"{configuration.name} {part}",
                  (sys.executable, "-m", "ssdreg.bench.post_worker"),
                  {"backend": configuration.backend, "part": part,
                   "model": models[configuration.name],
                   "images": str(prepared.images), "batch": batch,
                   "threads": thread_count(threads)}, environment(threads))
             for configuration in configurations for part in PARTS]
    timed = measure(tasks, schedule, report)
    measured, missing = [], []
    for configuration in configurations:
        names = {part: f"{configuration.name} {part}" for part in PARTS}
        failed = [name for name in names.values() if name in timed.failures]
        if failed:
            missing.append(Missing(configuration, f"post-processing, {failed[0]}: "
                                                  f"{timed.failures[failed[0]]}", batch))
        else:
            whole, network, rest = (timed.times[names[part]] for part in PARTS)
            measured.append(make_post(configuration, whole, network, rest, batch))
    return measured, missing


def cut_symbol(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Cut a deploy symbol off at class scores and offsets, which become its outputs."""
    net = Net.of(symbol)
    probabilities, offsets, _ = net.last.inputs
    # what softmax reads; a head with another function of its scores keeps that
    scores = net.inputs(probabilities[0])[0] if _is_softmax(net, probabilities) else probabilities
    return net.cut(scores, offsets)


def rest_symbol(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return what `cut_symbol` cuts off, with the inputs ``scores``, ``offsets``, ``anchors``.

    Anchors are made of the maps' sizes, and belong to the network.
    """
    from ssdreg.mx import mx
    net = Net.of(symbol)
    scores, offsets, anchors = map(mx.sym.Variable, ("scores", "offsets", "anchors"))
    if _is_softmax(net, net.last.inputs[0]):
        scores = mx.sym.softmax(scores, axis=1)
    return ops.detection(scores, offsets, anchors, PostProcessing.read(net.last.attrs))


def _is_softmax(net: Net, entry: Entry) -> bool:
    return net.op(entry[0]) in ("softmax", "SoftmaxActivation")


def cut_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of an ONNX model whose outputs are what its network predicts."""
    from onnx import helper
    network = _network(model.graph)
    ends = _ends(model.graph, network)
    return _part(model, [node for index, node in enumerate(model.graph.node) if index in network],
                 model.graph.input, [helper.make_empty_tensor_value_info(name) for name in ends])


def rest_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what `cut_model` cuts off; its inputs are called as the outputs of the other."""
    from onnx import shape_inference
    network = _network(model.graph)
    known = {value.name: value
             for value in shape_inference.infer_shapes(model, data_prop=True).graph.value_info}
    return _part(model,
                 [node for index, node in enumerate(model.graph.node) if index not in network],
                 [known[name] for name in _ends(model.graph, network)], model.graph.output)


def _network(graph: onnx.GraphProto) -> set[int]:
    """Return the indices of the nodes that are the network, predictions laid out included."""
    before = sources(graph)
    network = set(reached((index for index, node in enumerate(graph.node)
                           if node.op_type in _WORK), before.__getitem__))
    for index, node in enumerate(graph.node):
        if node.op_type in _LAYOUT and before[index] and network.issuperset(before[index]):
            network.add(index)
    return network


def _ends(graph: onnx.GraphProto, network: set[int]) -> list[str]:
    """Return what the network hands on."""
    read = {name for index, node in enumerate(graph.node) if index not in network
            for name in node.input}
    return [name for index in sorted(network) for name in graph.node[index].output if name in read]


def _part(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto],
          inputs: Iterable[onnx.ValueInfoProto], outputs: Iterable[onnx.ValueInfoProto]
          ) -> onnx.ModelProto:
    """Make a model of some nodes of another, with the constants that they read."""
    from onnx import helper
    needed = {name for node in nodes for name in node.input}
    return helper.make_model(
        helper.make_graph(
            nodes, model.graph.name, list(inputs), list(outputs),
            [tensor for tensor in model.graph.initializer if tensor.name in needed]),
        opset_imports=model.opset_import, ir_version=model.ir_version)
