"""What `ssdreg.export` makes of MXNet's detections, of options, and the facts in a file."""

from __future__ import annotations

import json
import sys

import attrs
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from ssdreg_runtime.system.telemetry import no_telemetry
from support.detections import RULES, Predicted, by_mxnet, kept, predicted
from support.exporting import ALIVE

from ssdreg.deploy.model import random_deploy_model
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import DependencyError, ExportError
from ssdreg.exporting import Options, to_onnx, write_onnx
from ssdreg.exporting import options as options_module
from ssdreg.exporting.operators.detection import DetectionInputs, write_detections, write_raw
from ssdreg.exporting.options import newest_opset
from ssdreg.exporting.parity import compare
from ssdreg.exporting.reading import Shape
from ssdreg.exporting.writer import Value, Writer

with no_telemetry():
    import onnxruntime
    import openvino

FLOAT32 = np.dtype("float32")
#: The newest set of operators that ONNX Runtime 1.20 and OpenVINO 2024 know.
NEWER = 21


# What is compared: MXNet's operator with what `write_detections` writes

def onnx_of(shape, anchors, rules, opset=17, batch=None, write=write_detections):
    """Return a model that makes detections of probabilities (B, N, C + 1) and offsets."""
    _, rows, count = shape
    writer = Writer(opset, batch, FLOAT32)
    for name in ("probabilities", "offsets"):
        writer.reserve(name)
    found = DetectionInputs(Value(Shape((1, count, rows), (True, False, False)), "probabilities"),
                            Value(Shape((1, count * 4), (True, False)), "offsets"),
                            anchors, count, rows - 1)
    written = write(found, rules, writer)
    outputs = list(written) if isinstance(written, tuple) else [written]
    axis = "batch" if batch is None else batch
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        writer.nodes, "detections",
        [info("probabilities", TensorProto.FLOAT, [axis, count, rows]),
         info("offsets", TensorProto.FLOAT, [axis, count * 4])],
        [info(output.name, TensorProto.FLOAT, [axis, None, None]) for output in outputs],
        list(writer.constants.values()))
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets,
                              ir_version=helper.find_min_ir_version_for(opsets))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def by_onnxruntime(model, **inputs):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def by_openvino(model, **inputs):
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(model), "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    ALIVE.append(compiled)
    found = compiled(inputs)
    return [found[index].copy() for index in range(len(compiled.outputs))]


RUNTIMES = {"onnxruntime": by_onnxruntime, "openvino": by_openvino}


def both(made, runtime, rules, opset=17, batch=None):
    """Return MXNet's detections and a runtime's."""
    model = onnx_of(made.prob.shape, made.anchors, rules, opset, batch)
    turned = np.ascontiguousarray(made.prob.transpose(0, 2, 1))
    return (by_mxnet(made.prob, made.offsets, made.anchors, rules),
            RUNTIMES[runtime](model, probabilities=turned, offsets=made.offsets)[0])


def assert_same(ours, theirs, within=2e-7):
    assert [len(rows) for rows in kept(ours)] == [len(rows) for rows in kept(theirs)]
    for mine, yours in zip(kept(ours), kept(theirs)):
        np.testing.assert_array_equal(mine[:, :2], yours[:, :2])
        np.testing.assert_allclose(mine[:, 2:], yours[:, 2:], rtol=0, atol=within)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("changes", [
    {}, {"threshold": 0.0}, {"threshold": .5}, {"threshold": 1.5}, {"force_suppress": True},
    {"nms_topk": -1}, {"nms_topk": 0}, {"nms_topk": 1}, {"nms_topk": 5}, {"nms_topk": 150},
    {"nms_threshold": 0.0}, {"nms_threshold": .05}, {"nms_threshold": .5}, {"nms_threshold": 1.0},
    {"nms_threshold": 1.5}, {"nms_threshold": -1.0, "nms_topk": 5}, {"clip": False},
    {"variances": (.2, .05, .4, .1)},
    {"threshold": .3, "nms_topk": 5, "force_suppress": True, "nms_threshold": .2}],
    ids=lambda changes: ",".join(f"{key}={value}" for key, value in changes.items()) or "usual")
def test_every_setting_means_what_it_does_in_mxnet(runtime, changes):
    rules = attrs.evolve(RULES, **changes)
    ours, theirs = both(predicted(1), runtime, rules)
    assert_same(ours, theirs, 2e-7 if rules.clip else 1e-6)
    assert len(np.concatenate(kept(ours))) > 0 or rules.threshold > 1
    assert compare(ours, theirs, rules).mismatches == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("batch", "classes", "opset", "fixed"), [
    (1, 1, 17, 1), (3, 1, NEWER, None), (3, 80, 17, 3), (1, 80, NEWER, None), (5, 2, 18, None)])
def test_batches_classes_and_operator_sets(runtime, batch, classes, opset, fixed):
    ours, theirs = both(predicted(2, batch, classes), runtime, RULES, opset, fixed)
    assert all(len(rows) > 10 for rows in kept(ours))
    assert_same(ours, theirs)


# Ties and boxes that are none

@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("nms_topk", "nms_threshold"), [(-1, .45), (150, 1.0)])
def test_of_equal_scores_the_earlier_anchor_comes_first(runtime, nms_topk, nms_threshold):
    made = predicted(3, 3)
    rules = attrs.evolve(RULES, nms_topk=nms_topk, nms_threshold=nms_threshold)
    for prob in (np.round(made.prob, 1), np.full_like(made.prob, .2)):
        assert_same(*both(attrs.evolve(made, prob=prob), runtime, rules))


def test_of_equal_scores_at_the_end_of_the_best_the_earlier_anchor_is_among_them():
    made = predicted(3, 3)
    rules = attrs.evolve(RULES, nms_topk=20)
    for prob in (np.round(made.prob, 1), np.full_like(made.prob, .2)):
        assert_same(*both(attrs.evolve(made, prob=prob), "onnxruntime", rules))


def test_at_the_end_of_the_best_openvino_takes_any_but_no_other_than_equal_ones():
    """Its TopK has an order of its own among equals: the last of the best may be others."""
    made = predicted(3, 3)
    tied = attrs.evolve(made, prob=np.round(made.prob, 1))
    rules = attrs.evolve(RULES, nms_topk=50)
    ours, theirs = both(tied, "openvino", rules)
    found = compare(ours, theirs, rules)
    assert found.equal, found.sentences
    assert 0 < found.ties < found.boxes / 2
    for mine, yours in zip(ours[:, :50], theirs):
        np.testing.assert_array_equal(mine[:, 1], yours[:, 1])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_overlap_of_just_the_threshold_suppresses(runtime):
    halves = Predicted(np.array([[[.1, .1], [.9, .8]]], "f4"), np.zeros((1, 8), "f4"),
                       np.array([[[0, 0, 1, .5], [0, 0, .5, .5]]], "f4"))
    alike = attrs.evolve(predicted(4), anchors=np.tile(predicted(4).anchors[:, :1], (1, 150, 1)),
                         offsets=np.zeros((2, 600), "f4"))
    for made, threshold, left in ((halves, .5, 1), (halves, .5001, 2), (alike, 1.0, 1)):
        rules = attrs.evolve(RULES, nms_threshold=threshold, force_suppress=True)
        ours, theirs = both(made, runtime, rules)
        assert [len(rows) for rows in kept(ours)] == [left] * len(ours)
        assert_same(ours, theirs)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_boxes_without_area_suppress_nothing(runtime):
    made = Predicted(np.array([[[.1] * 4, [.9, .8, .7, .6]]], "f4"), np.zeros((1, 16), "f4"),
                     np.array([[[.2, .2, .2, .6]] * 2 + [[.3, .3, .3, .3]] * 2], "f4"))
    ours, theirs = both(made, runtime, RULES)
    assert len(kept(ours)[0]) == 4
    assert_same(ours, theirs)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_of_anchors_turned_round_only_suppression_differs(runtime):
    """MXNet sees no overlap where corners are swapped; ONNX sees the box between them.

    No anchor of MXNet's own operator is such, as long as its sizes are positive.
    """
    made = Predicted(np.array([[[.1] * 2, [.9, .8]]], "f4"), np.zeros((1, 8), "f4"),
                     np.array([[[.6, .6, .2, .2]] * 2], "f4"))
    ours, theirs = both(made, runtime, RULES)
    assert [len(kept(found)[0]) for found in (ours, theirs)] == [2, 1]
    np.testing.assert_allclose(ours[0][:, 1:], theirs[0][:, 1:], atol=2e-7)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("factor", [1e3, 1e38])
def test_sizes_beyond_all_numbers_are_cut_to_the_image(runtime, factor):
    made = predicted(5)
    with np.errstate(over="ignore"):
        far = attrs.evolve(made, offsets=made.offsets * np.float32(factor))
    ours, theirs = both(far, runtime, RULES)
    assert_same(ours, theirs)
    assert all(np.isfinite(rows).all() for rows in kept(ours))


def test_anchors_whose_scores_are_no_numbers_are_dropped():
    """As a softmax leaves them: all of an anchor. OpenVINO keeps some, with nonsense in them."""
    made = predicted(6)
    made.prob[:, :, ::3] = np.nan
    ours, theirs = both(made, "onnxruntime", RULES)
    assert_same(ours, theirs)


# Scores and boxes without suppression

@pytest.mark.parametrize("runtime", RUNTIMES)
def test_raw_outputs_are_all_scores_and_decoded_boxes(runtime):
    made = predicted(7, 3)
    model = onnx_of(made.prob.shape, made.anchors, RULES, write=write_raw)
    turned = np.ascontiguousarray(made.prob.transpose(0, 2, 1))
    scores, boxes = RUNTIMES[runtime](model, probabilities=turned, offsets=made.offsets)
    np.testing.assert_array_equal(scores, turned[:, :, 1:])
    everything = attrs.evolve(RULES, threshold=0.0, nms_threshold=0.0)
    rows = by_mxnet(made.prob, made.offsets, made.anchors, everything)
    np.testing.assert_array_equal(scores.argmax(2), rows[:, :, 0])
    np.testing.assert_array_equal(scores.max(2), rows[:, :, 1])
    np.testing.assert_allclose(boxes, rows[:, :, 2:], rtol=0, atol=2e-7)


# Whole detectors

@pytest.fixture(scope="module")
def source():
    return random_deploy_model("resnet18", 3, (96, 128), overrides=Overrides(tap_strides=(8, 16)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(8).integers(0, 256, (5, 96, 128, 3), np.uint8)


def test_a_file_is_the_same_whenever_and_wherever_it_is_written(source, tmp_path):
    elsewhere = attrs.evolve(source, name=str(tmp_path))
    one, other = (to_onnx(each).SerializeToString() for each in (source, elsewhere))
    assert one == other
    write_onnx(source, tmp_path / "new" / "model.onnx")
    assert (tmp_path / "new" / "model.onnx").read_bytes() == one
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["model.onnx"]


def test_weights_are_initializers_and_each_of_them_is_read(source):
    graph = to_onnx(source).graph
    assert [each.name for each in graph.input] == ["images"]
    assert [each.name for each in graph.output] == ["detection"]
    read = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= read
    idle = [node.name for node in graph.node if not read.intersection(node.output)]
    assert idle == [each.name for each in graph.node if "detection" in each.output]


@pytest.mark.parametrize("options", [
    Options(), Options(batch=None, opset=NEWER, nms=False), Options(batch=3, precision="float16")])
def test_the_metadata_say_what_the_detector_is(source, options):
    model = to_onnx(source, options)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", options.opset)]
    facts = {each.key: json.loads(each.value) for each in model.metadata_props}
    plan, told = source.plan, facts_of(source)
    assert facts == {
        "ssdreg_format": 1, "ssdreg_version": told.version,
        "ssdreg_classes": ["class 0", "class 1", "class 2"], "ssdreg_data_shape": [96, 128],
        "ssdreg_backbone": "resnet18", "ssdreg_head": "ssd", "ssdreg_threshold": .01,
        "ssdreg_nms_threshold": plan.nms_threshold, "ssdreg_nms_topk": plan.nms_topk,
        "ssdreg_force_suppress": plan.force_suppress,
        "ssdreg_mean": list(plan.preprocessing.mean), "ssdreg_std": list(plan.preprocessing.std),
        "ssdreg_precision": options.precision}
    (given,) = model.graph.input
    batch = given.type.tensor_type.shape.dim[0]
    assert (batch.dim_param or batch.dim_value) == (options.batch or "batch")
    assert given.type.tensor_type.elem_type == TensorProto.UINT8


def test_class_names_of_any_script_are_kept(source):
    named = attrs.evolve(source, classes=("Fußgänger", '"quoted", with a comma', "自転車"))
    (names,) = [each.value for each in to_onnx(named).metadata_props
                if each.key == "ssdreg_classes"]
    assert tuple(json.loads(names)) == named.classes


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_file_takes_batches_of_any_size(source, images, runtime):
    model = to_onnx(source, Options(batch=None)).SerializeToString()
    (alone,) = RUNTIMES[runtime](model, images=images[:1])
    for size in (2, 5):
        (found,) = RUNTIMES[runtime](model, images=images[:size])
        assert found.shape == (size, 400, 6)
        assert compare(alone, found[:1], source.post_processing).equal


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_suppression_there_are_scores_and_boxes(source, images, runtime):
    model = to_onnx(source, Options(batch=5, nms=False)).SerializeToString()
    scores, boxes = RUNTIMES[runtime](model, images=images)
    anchors = source.plan.anchors
    assert (scores.shape, boxes.shape) == ((5, anchors, 3), (5, anchors, 4))
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((boxes >= 0) & (boxes <= 1)).all()


def test_half_precision_halves_the_file_and_decodes_in_single(source, images):
    whole, half = (to_onnx(source, Options(batch=5, nms=False, precision=precision))
                   for precision in ("float32", "float16"))
    assert half.ByteSize() / whole.ByteSize() == pytest.approx(.5, abs=.02)
    kinds = {each.name: each.data_type for each in half.graph.initializer}
    assert kinds["anchors"] == TensorProto.FLOAT
    weights = [kind for name, kind in kinds.items() if name.endswith("_weight")]
    assert set(weights) == {TensorProto.FLOAT16}
    ours, theirs = (by_onnxruntime(model.SerializeToString(), images=images)
                    for model in (whole, half))
    for one, other in zip(ours, theirs):
        assert 0 < np.abs(one - other).max() < 1e-2


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"opset": 16}, "opset 16 cannot be written: the installed onnx knows those up to"),
    ({"opset": newest_opset() + 1}, "detections need 17 or later"),
    ({"batch": 0}, "a batch of 0 images holds nothing: give 1 or more"),
    ({"precision": "int8"}, "int8 is made by `ssdreg quantize`")])
def test_options_that_cannot_be_are_refused(settings, sentence):
    with pytest.raises(ExportError, match=sentence):
        Options(**settings)


def test_without_onnx_there_is_a_sentence(monkeypatch):
    # as the import system has it for a package that cannot be found
    monkeypatch.setitem(sys.modules, "onnx.defs", None)
    with pytest.raises(DependencyError, match=r"needs the package onnx, .* `pip install onnx`"):
        options_module.newest_opset()


def test_a_parameter_that_is_missing_is_named(source):
    args = dict(source.params.args)
    del args["conv0_weight"]
    with pytest.raises(ExportError, match="lacks the parameter 'conv0_weight'"):
        to_onnx(attrs.evolve(source, params=attrs.evolve(source.params, args=args)))


def test_a_network_that_is_no_detector_is_refused(source):
    inside = source.symbol.get_internals()["multibox_loc_pred_output"]
    with pytest.raises(ExportError, match="a detector's last operator is _contrib_MultiBoxDetec"):
        to_onnx(attrs.evolve(source, symbol=inside))
