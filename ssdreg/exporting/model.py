"""A whole detector as one ONNX model: images in, detections out, facts in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdreg._version import __version__
from ssdreg.deploy.model import DeployModel
from ssdreg.detector.by_class import find_detection_by_class
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import ExportError
from ssdreg.exporting.image_input import with_image_input
from ssdreg.exporting.operators.detection import DetectionInputs, write_detections, write_raw
from ssdreg.exporting.operators.detection_by_class import write_detections_by_class
from ssdreg.exporting.options import IMAGE, Options
from ssdreg.exporting.reading import Operator, OperatorGraph, read_network
from ssdreg.exporting.translation import unsupported
from ssdreg.exporting.walking import write_network
from ssdreg.exporting.writer import Value, Writer
from ssdreg.graph.nodes import DATA, Entry, Net
from ssdreg.graph.operators import DETECTION

if TYPE_CHECKING:
    import onnx

    from ssdreg.mx import mx

#: The version of what the metadata say; a reader refuses a newer one.
FORMAT = 1
#: The name of the input, and of all outputs that there may be.
IMAGES = "images"
OUTPUTS = ("detection", "scores", "boxes")
#: The name that stands for the batch where it may be any.
BATCH = "batch"
_FLOAT32 = np.dtype(np.float32)


def to_onnx(source: DeployModel, options: Options | None = None) -> onnx.ModelProto:
    """Write a detector as an ONNX model, checked.

    Its input ``images`` is (B, H, W, 3) uint8, RGB, of the plan's size; its output ``detection``
    (B, K, 6) float32: class, score, x1, y1, x2, y2 as shares of the image, best first, class -1
    in rows that hold nothing (see `Options` for the outputs without suppression, and for one that
    takes a picture of any size). Weights are
    initializers and no inputs. Raises ExportError, naming operator and node, where the network
    has an operator without translation.
    """
    import onnx
    chosen = options or Options()
    network = read_network(source.symbol, source.plan.data_shape, _param_shapes(source))
    last = network.operators[network.output[0]]
    by_class = find_detection_by_class(Net.of(source.symbol))
    if last.op != DETECTION and by_class is None:
        raise unsupported(last, f"a detector's last operator is {DETECTION}")
    ends = (by_class.probabilities, by_class.offsets, by_class.anchors) if by_class else last.inputs
    writer = Writer(chosen.opset, chosen.batch, np.dtype(chosen.precision))
    # before any node of the network can take their names
    for name in (IMAGES, *OUTPUTS):
        writer.reserve(name)
    arrays = {**source.params.args, **source.params.auxs}
    values = write_network(network, [index for index, _ in ends],
                           lambda operator: _leaf(operator, source, arrays, writer), writer)
    predictions = _predictions(network, ends, values, writer)
    rules = by_class.rules.summary if by_class else PostProcessing.read(last.attrs)
    if chosen.nms and by_class:
        prob = _as_float32(values[by_class.probabilities], "prob_float32", writer)
        writer.dtype = _FLOAT32
        detections, count = write_detections_by_class(prob, predictions.offsets,
                                                      predictions.anchors, by_class.rules, writer)
        outputs = {"detection": (detections, (count, 6))}
    elif chosen.nms:
        writer.dtype = _FLOAT32
        rows = rules.kept(predictions.count) if rules.suppresses else predictions.count
        outputs = {"detection": (write_detections(predictions, rules, writer), (rows, 6))}
    else:
        writer.dtype = _FLOAT32
        scores, boxes = write_raw(predictions, rules, writer,
                                  by_class.rules.widest if by_class else None)
        outputs = {"scores": (scores, (predictions.count, predictions.classes)),
                   "boxes": (boxes, (predictions.count, 4))}
    model = _model(writer, source, {name: (value.name, sizes)
                                    for name, (value, sizes) in outputs.items()})
    for key, value in _facts(source, rules, chosen).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value, ensure_ascii=False)
    onnx.checker.check_model(model, full_check=True)
    return with_image_input(model) if chosen.input == IMAGE else model


def _param_shapes(source: DeployModel) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for part in (source.params.args, source.params.auxs)
            for name, array in part.items()}


def _leaf(operator: Operator, source: DeployModel, arrays: Mapping[str, mx.nd.NDArray],
          writer: Writer) -> Value:
    """Return one of the parameters, which are `arrays`, or the normalised image."""
    if operator.name == DATA:
        return _normalized_images(operator, source, writer)
    if operator.name not in arrays:
        raise ExportError(f"{source.name} lacks the parameter {operator.name!r} that its symbol "
                          f"reads: the two do not belong together")
    array = arrays[operator.name].asnumpy().astype(np.float32, copy=False)
    if array.shape != operator.shape.sizes:
        raise ExportError(f"the parameter {operator.name!r} of {source.name} has the shape "
                          f"{array.shape}, and its symbol reads {operator.shape.sizes}: the two "
                          f"do not belong together")
    return Value.constant(array, operator.name)


def _normalized_images(operator: Operator, source: DeployModel, writer: Writer) -> Value:
    """Write (B, H, W, 3) uint8 to (B, 3, H, W), normalised."""
    turned = writer.node("Transpose", [IMAGES], "pixels", perm=[0, 3, 1, 2])
    # normalised in float32, whatever the network computes in
    value = writer.cast(turned, _FLOAT32, "numbers")
    preprocessing = source.plan.preprocessing
    for op, numbers, idle, name in (("Sub", preprocessing.mean, 0.0, "centred"),
                                    ("Div", preprocessing.std, 1.0, "normalised")):
        if any(number != idle for number in numbers):
            constant = np.array(numbers, np.float32).reshape(1, 3, 1, 1)
            value = writer.node(op, [value, writer.constant(constant, f"{name}_by")], name)
    if writer.dtype != _FLOAT32:
        value = writer.cast(value, writer.dtype, "images_cast")
    return Value(operator.shape, value.name)


def _predictions(network: OperatorGraph, ends: Sequence[Entry], values: Mapping[Entry, Value],
                 writer: Writer) -> DetectionInputs:
    """Return the probabilities, offsets and anchors at these ends, probabilities by anchor."""
    prob, offsets, anchors = (values[port] for port in ends)
    if anchors.array is None:
        raise unsupported(network.operators[network.output[0]], "its anchors depend on the image")
    classes, count = prob.sizes[1] - 1, prob.sizes[2]
    logits = _turned_logits(network, ends[0], values)
    if logits is not None:
        # softmax over the last axis of what is there before it is turned: no turning at all
        logits = _as_float32(logits, "logits_float32", writer)
        turned = writer.node("Softmax", [logits], "probabilities", axis=-1)
    else:
        turned = writer.node("Transpose", [_as_float32(prob, "prob_float32", writer)],
                             "probabilities", perm=[0, 2, 1])
    return DetectionInputs(turned, _as_float32(offsets, "offsets_float32", writer),
                           np.asarray(anchors.array, np.float32), count, classes)


def _turned_logits(network: OperatorGraph, probabilities: Entry,
                   values: Mapping[Entry, Value]) -> Value | None:
    """Return (B, N, C + 1) where the probabilities are a softmax of that, turned."""
    softmax = network.operators[probabilities[0]]
    if softmax.op != "softmax" or softmax.attrs.integer("axis", -1) != 1 \
            or softmax.attrs.given("temperature"):
        return None
    turning = network.operators[softmax.inputs[0][0]]
    if turning.op != "transpose" or turning.attrs.sequence("axes") != (0, 2, 1):
        return None
    return values[turning.inputs[0]]


def _as_float32(value: Value, name: str, writer: Writer) -> Value:
    return value if writer.dtype == _FLOAT32 else writer.cast(value, _FLOAT32, name)


def _model(writer: Writer, source: DeployModel,
           outputs: Mapping[str, tuple[str, Sequence[int]]]) -> onnx.ModelProto:
    """Put the graph together, without what nothing reads."""
    from onnx import TensorProto, helper
    batch = BATCH if writer.batch is None else writer.batch
    images = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8,
                                           [batch, *source.plan.data_shape, 3])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *sizes])
               for name, (_, sizes) in outputs.items()]
    final = {written: wanted for wanted, (written, _) in outputs.items()}
    nodes = _read_nodes(_renamed(writer.nodes, final), set(outputs))
    read = {name for node in nodes for name in node.input}
    # by no path: the same detector is the same file wherever it lies
    graph = helper.make_graph(nodes, source.plan.backbone, [images], results)
    model = helper.make_model(
        graph, producer_name="ssdreg", producer_version=__version__,
        opset_imports=[helper.make_opsetid("", writer.opset)],
        ir_version=helper.find_min_ir_version_for([helper.make_opsetid("", writer.opset)]))
    # only now, because making a model copies its graph
    model.graph.initializer.extend(tensor for name, tensor in writer.constants.items()
                                   if name in read)
    return model


def _renamed(nodes: Sequence[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    """Return the nodes with other names for some values."""
    for node in nodes:
        for fields in (node.input, node.output):
            fields[:] = [names.get(name, name) for name in fields]
    return list(nodes)


def _read_nodes(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that something reads, as it is from the outputs on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _facts(source: DeployModel, rules: PostProcessing, options: Options) -> dict[str, Any]:
    """Return what a reader of the file needs to know, by key."""
    plan = source.plan
    return {"ssdreg_format": FORMAT, "ssdreg_version": __version__,
            "ssdreg_classes": list(source.classes), "ssdreg_data_shape": list(plan.data_shape),
            "ssdreg_backbone": plan.backbone, "ssdreg_head": plan.head,
            "ssdreg_threshold": rules.threshold, "ssdreg_nms_threshold": rules.nms_threshold,
            "ssdreg_nms_topk": rules.nms_topk, "ssdreg_force_suppress": rules.force_suppress,
            "ssdreg_mean": list(plan.preprocessing.mean),
            "ssdreg_std": list(plan.preprocessing.std), "ssdreg_precision": options.precision}
