"""int8 and bfloat16 on every backend: what is quantised, what is not, and what comes out."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import Counter

import attrs
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from ssdreg_runtime.backends import open_backend
from ssdreg_runtime.system import processor
from ssdreg_runtime.system.processor import BFLOAT16, flags, has_wide_vectors, multiplies_bfloat16
from ssdreg_runtime.system.telemetry import no_telemetry
from support.runs import SIDE

from ssdreg.data import load
from ssdreg.deploy.model import open_deploy_model, random_deploy_model
from ssdreg.deploy.mxnet_backend import MXNetBackend, facts_of
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import DataError, ModelError
from ssdreg.exporting import to_onnx
from ssdreg.graph.nodes import Net
from ssdreg.graph.stretches import outside_network
from ssdreg.mx import mx
from ssdreg.quantization import (
    bfloat16_mxnet,
    quantize_model,
    quantize_mxnet,
    quantize_onnx,
    quantize_openvino,
    read_examples,
)
from ssdreg.quantization.engines import ENGINES
from ssdreg.quantization.mxnet.arranging import cuts_last
from ssdreg.quantization.onnxruntime.graph import network_nodes, prepare
from ssdreg.quantization.searching import Exact, Trial, choices
from ssdreg.quantization.sensitivity import LayerNoise, measure_layers, worst
from ssdreg.runs.params import Params

with no_telemetry():
    import onnxruntime
    import openvino

SHAPE = (SIDE, SIDE)


@pytest.fixture(scope="module")
def source():
    """A detector with random weights, whose scores are far from 0 and 1."""
    return random_deploy_model("resnet18", 3, SIDE, overrides=Overrides(tap_strides=(8, 16)))


@pytest.fixture(scope="module")
def examples(tiny_shapes):
    return list(read_examples(load(tiny_shapes, "train"), SHAPE, 8))


@pytest.fixture(scope="module")
def images(examples):
    return [example.image for example in examples]


@pytest.fixture(scope="module")
def model(source):
    return to_onnx(source)


@pytest.fixture(scope="module")
def onnx_int8(model, images):
    return quantize_onnx(model, images, ["stage1_unit1_conv2"])


@pytest.fixture(scope="module")
def openvino_int8(model, images):
    return quantize_openvino(model.SerializeToString(), images, ["stage1_unit1_conv2"])


@pytest.fixture(scope="module")
def mxnet_int8(source, images):
    return quantize_mxnet(source, images, ["stage1_unit1_conv2"])


def written(model, folder):
    """Write a model of OpenVINO and return its file."""
    ENGINES["openvino"].write(model, folder / "detector.xml")
    return folder / "detector.xml"


def score_error(found, exact):
    """How far the scores of the ten best detections are from those of float32, at most."""
    best, wanted = (np.sort(rows[:, :, 1])[:, :-11:-1] for rows in (found, exact))
    assert wanted.min() > 0.2
    return np.abs(best - wanted).max()


# ONNX

def test_onnx_weights_are_eight_bits_with_a_scale_for_each_channel(onnx_int8, model):
    weights = {tensor.name: tensor for tensor in onnx_int8.graph.initializer}
    made_by = {output: node for node in onnx_int8.graph.node for output in node.output}
    kept = []
    for node in onnx_int8.graph.node:
        if node.op_type != "Conv":
            continue
        before = made_by.get(node.input[1])
        if before is None:
            kept.append(node.name)
            continue
        assert before.op_type == "DequantizeLinear"
        values = weights[before.input[0]]
        assert values.data_type == TensorProto.INT8
        assert list(weights[before.input[1]].dims) == values.dims[:1]
    assert kept == ["stage1_unit1_conv2"]
    # all of them, and what was batch normalisation in the middle of the network besides
    count = Counter(node.op_type for node in onnx_int8.graph.node)
    before = Counter(node.op_type for node in model.graph.node)
    assert count["Conv"] + count["BatchNormalization"] == before["Conv"] + \
        before["BatchNormalization"]
    assert count["BatchNormalization"] < before["BatchNormalization"]


def test_only_the_network_is_quantised(onnx_int8, model):
    inside = set(network_nodes(model))
    operators = {node.name: node.op_type for node in model.graph.node}
    assert {operators[name] for name in inside} == {"Conv", "Relu", "Add", "MaxPool",
                                                    "BatchNormalization"}
    made_by = {output: node for node in onnx_int8.graph.node for output in node.output}
    for node in onnx_int8.graph.node:
        # what comes before the network, and all behind it but the first that reads from it
        if node.name in operators and node.name not in inside:
            assert node.op_type not in ("Conv",)
            sources = {made_by[name].op_type for name in node.input if name in made_by}
            assert sources <= set(operators.values()) | {"DequantizeLinear"}
            assert node.op_type == "Transpose" or "DequantizeLinear" not in sources
    assert not inside & {"bn_data", "centred", "probabilities", "boxes", "selected"}


def test_onnx_says_what_it_is_and_keeps_its_interface(onnx_int8, model):
    before = {entry.key: entry.value for entry in model.metadata_props}
    after = {entry.key: entry.value for entry in onnx_int8.metadata_props}
    assert {key: after[key] for key in before} == {**before, "ssdreg_precision": '"int8"'}
    assert onnx_int8.graph.input == model.graph.input
    assert onnx_int8.graph.output == model.graph.output
    assert len(onnx_int8.SerializeToString()) < 0.3 * len(model.SerializeToString())


def test_onnx_leaves_nobodys_log_another_place(model, images, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as outside of pytest
    quantize_onnx(model, images[:1], [])
    assert logging.root.handlers == []


def test_onnx_finds_nearly_what_float32_finds(onnx_int8, model, images):
    exact = open_backend(model.SerializeToString(), "onnxruntime", 1)
    found = open_backend(onnx_int8.SerializeToString(), "onnxruntime", 1)
    assert (exact.precision, found.precision) == ("float32", "int8")
    for image in images[:4]:
        assert 0 < score_error(found.run(image), exact.run(image)) < 0.1


def test_preparing_changes_no_result(model, images):
    prepared = prepare(model)
    one, other = (onnxruntime.InferenceSession(each.SerializeToString()).run(
        None, {"images": images[0]})[0] for each in (model, prepared))
    assert np.abs(one - other).max() < 1e-4
    # the model that was given is as it was
    assert not any(tensor.name.startswith("weight:") for tensor in model.graph.initializer)
    assert all(tensor.name.startswith("weight:") for tensor in prepared.graph.initializer)


# OpenVINO

def test_openvino_quantises_the_network_and_nothing_else(openvino_int8, model):
    kinds = Counter(operator.get_type_name() for operator in openvino_int8.get_ops())
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    assert kinds["FakeQuantize"] > 0.5 * convolutions
    outside = {node.name for node in model.graph.node} - {*network_nodes(model)}
    for operator in openvino_int8.get_ops():
        if operator.get_type_name() == "FakeQuantize":
            readers = {port.get_node() for port in operator.output(0).get_target_inputs()}
            names = {reader.get_friendly_name().split("/")[0] for reader in readers}
            assert not names & {*outside, "stage1_unit1_conv2"}


def test_openvino_opens_as_int8_and_finds_nearly_the_same(openvino_int8, model, images, tmp_path):
    file = written(openvino_int8, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["detector.bin", "detector.xml"]
    found = open_backend(file, "openvino", 1)
    exact = open_backend(model.SerializeToString(), "openvino", 1)
    assert found.precision == "int8"
    assert attrs.evolve(found.facts, precision="float32") == exact.facts
    for image in images[:4]:
        assert 0 < score_error(found.run(image), exact.run(image)) < 0.1


def test_nothing_is_sent_and_nothing_written_to_the_home_folder(tmp_path):
    code = ("from ssdreg_runtime.system.telemetry import no_telemetry\n"
            "with no_telemetry():\n"
            "    import onnxruntime, openvino, nncf\n"
            "import os, sys\n"
            "from openvino.tools.ovc import telemetry\n"
            "print(type(telemetry).__module__, sys.modules['openvino_telemetry'],\n"
            "      os.environ.get('CI'))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**{name: value for name, value in os.environ.items()
                                  if name not in ("CI", "XDG_CACHE_HOME")},
                               "HOME": str(tmp_path)})
    # what OpenVINO has in its place sends nothing, whenever it is called
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None", "None"]
    assert not (tmp_path / "intel").exists()
    assert not (tmp_path / ".cache" / "Microsoft").exists()


# MXNet

def test_mxnet_computes_in_int8_with_the_parameters_it_had(mxnet_int8, source):
    operators = Counter(node.op for node in Net.of(mxnet_int8.symbol).nodes)
    assert operators["_contrib_quantize_v2"] >= 1
    assert operators["_contrib_dequantize"] >= 1
    assert operators["_contrib_MultiBoxDetection"] == 1
    assert facts_of(mxnet_int8).precision == "int8"
    for name, array in mxnet_int8.params.args.items():
        assert (array == source.params.args[name]).asnumpy().all()


def test_mxnet_finds_nearly_the_same_at_any_batch(mxnet_int8, source, images):
    exact, found = MXNetBackend(source, 3), MXNetBackend(mxnet_int8, 3)
    together = np.concatenate(images[:3])
    assert 0 < score_error(found.run(together), exact.run(together)) < 0.1
    single = np.concatenate([found.run(image) for image in images[:3]])
    assert np.abs(single - found.run(together)).max() < 1e-5


def test_mxnet_keeps_what_is_named(mxnet_int8):
    for node in Net.of(mxnet_int8.symbol).nodes:
        if "stage1_unit1_conv2" in [part.name for part in node.parts]:
            assert not node.attrs.flag("quantized")


def uneven():
    """A convolution with uneven padding, as a cut behind it makes it, and what follows."""
    x = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), stride=(2, 2), pad=(2, 2),
                           num_filter=4, no_bias=True, name="conv")
    x = mx.sym.slice(x, begin=(None, None, 1, 1), end=(None, None, None, None), name="cut")
    x = mx.sym.BatchNorm(x, fix_gamma=False, name="bn")
    return mx.sym.clip(x, a_min=0, a_max=6, name="relu6")


def computed(symbol):
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(2, 3, 16, 16))
    random = np.random.RandomState(0)
    values = {**executor.arg_dict, **executor.aux_dict}
    for array in (values[name] for name in sorted(values)):
        array[:] = random.uniform(0.5, 1.5, array.shape)
    return executor.forward(is_train=False)[0].asnumpy()


def test_cuts_move_behind_what_works_on_single_values():
    symbol = mx.sym.Convolution(uneven(), kernel=(1, 1), num_filter=2, name="next")
    moved = cuts_last(symbol)
    order = [node.name for node in Net.of(moved).nodes if node.op != "null"]
    assert order == ["conv", "bn", "relu6", "cut", "next"]
    assert np.array_equal(computed(moved), computed(symbol))
    assert moved.list_arguments() == symbol.list_arguments()
    assert moved.list_auxiliary_states() == symbol.list_auxiliary_states()


def test_a_cut_that_others_read_stays():
    both = uneven()
    symbol = mx.sym.Group([both, both.get_internals()["cut_output"]])
    order = [node.name for node in Net.of(cuts_last(symbol)).nodes if node.op != "null"]
    assert order == ["conv", "cut", "bn", "relu6"]


def test_what_is_outside_the_network(source):
    outside = outside_network(Net.of(source.symbol))
    assert {"bn_data", "cls_prob", "multibox_loc_pred"} <= set(outside)
    assert not any(name.endswith("_pred_conv") or name == "conv0" for name in outside)


@pytest.mark.skipif(not has_wide_vectors(), reason="MXNet computes bfloat16 with AVX-512 only")
def test_bfloat16_of_mxnet_survives_being_saved(source, images, tmp_path):
    made = bfloat16_mxnet(source)
    file = tmp_path / "deploy-symbol.json"
    made.symbol.save(str(file))
    loaded = attrs.evolve(made, symbol=mx.sym.load(str(file)))
    assert facts_of(loaded).precision == "bfloat16"
    exact, found = MXNetBackend(source, 1), MXNetBackend(loaded, 1)
    for image in images[:2]:
        assert 0 < score_error(found.run(image), exact.run(image)) < 0.05


# Which layers

def test_layers_that_are_measured_as_the_worst_are_the_worst(source, images):
    # one channel of a hundred times the others' size takes most of the steps of 8 bits
    damaged = {name: array.copy() for name, array in source.params.args.items()}
    damaged["stage2_unit1_bn1_gamma"][0] = 100
    spoilt = attrs.evolve(source, params=Params(damaged, source.params.auxs))
    layers = measure_layers(spoilt, images[:2])
    net = Net.of(source.symbol)
    convolutions = [net.name(index) for index in net.find("Convolution")]
    assert sorted(layer.name for layer in layers) == sorted(convolutions)
    assert [layer.noise for layer in layers] == sorted((layer.noise for layer in layers),
                                                       reverse=True)
    assert {layer.name for layer in layers[:3]} & {"stage2_unit1_conv1", "stage2_unit1_sc"}
    assert all(layer.weight == f"{layer.name}_weight" for layer in layers)


@pytest.mark.parametrize(("share", "count"), [(0.4, 1), (0.5, 1), (0.51, 2), (0.8, 2), (0.9, 3)])
def test_the_worst_make_a_share_of_the_noise(share, count):
    layers = [LayerNoise(name, f"{name}_weight", noise)
              for name, noise in (("a", 5.0), ("b", 3.0), ("c", 2.0))]
    assert worst(layers, share) == tuple(layers[:count])


def test_layers_are_measured_only_when_nothing_kept_is_too_little():
    measured = []

    def measure():
        measured.append(True)
        return [LayerNoise(str(number), "", 2.0**-number) for number in range(9)]

    kept = choices(measure)
    assert next(kept) == ()
    assert measured == []
    more = list(kept)
    assert measured == [True]
    assert [len(each) for each in more] == sorted({len(each) for each in more})


def test_a_trial_must_lose_little_and_agree():
    exact = Exact(0.9, ())
    good, weak, strange = (Trial((), 0.895, 0.99), Trial(("a",), 0.88, 0.99),
                           Trial(("a", "b"), 0.9, 0.9))
    unknown = Trial((), float("nan"), float("nan"))
    assert [exact.accepts(each, 0.01) for each in (good, weak, strange, unknown)] == [
        True, False, False, True]
    assert exact.best((strange, weak, good), 0.01) == good
    assert exact.best((strange, weak), 0.01) == weak


def test_a_number_counts_for_more_than_none():
    exact, nan = Exact(0.9, ()), float("nan")
    worse, better = Trial((), 0.5, nan), Trial(("a",), 0.7, nan)
    assert exact.best((worse, better), 0.01) is better
    measured = Trial(("a", "b"), 0.6, 0.1)
    for trials in ((worse, better, measured), (measured, worse, better)):
        assert exact.best(trials, 0.01) == measured
    assert exact.best((Trial((), nan, 0.2), Trial(("a",), 0.1, 0.2)), 0.01).kept == ("a",)


def test_layers_are_kept_when_eight_bits_cost_too_much(tiny_run, examples):
    # after one epoch boxes are everywhere, and those of 8 bits never quite the same
    source = open_deploy_model(tiny_run)
    made = quantize_model(source, examples[:3], "mxnet", drop=0.0, keep=["stage1_unit1_conv2"])
    counts = [len(trial.kept) for trial in made.trials]
    assert counts == sorted(set(counts))
    assert made.trials[0].kept == ("stage1_unit1_conv2",)
    assert made.kept in [trial.kept for trial in made.trials]
    assert counts[1:]
    assert set(made.trials[1].kept) == {"stage1_unit1_conv2",
                                        *(layer.name for layer in worst(made.layers, 0.5))}
    assert made.open().precision == "int8"


def test_nothing_is_kept_when_eight_bits_cost_nothing(source, examples):
    said = []
    made = quantize_model(source, examples[:3], "onnxruntime", drop=1.0, say=said.append)
    assert (made.kept, made.layers, len(made.trials)) == ((), (), 1)
    assert said == ["measuring float32 on the calibration images",
                    "quantising, no layers kept in float32"]


# Bad input

@pytest.mark.parametrize("quantized", [
    lambda source, model: quantize_onnx(model, []),
    lambda source, model: quantize_openvino(model.SerializeToString(), []),
    lambda source, model: quantize_mxnet(source, []),
    lambda source, model: quantize_model(source, [])], ids=["onnx", "openvino", "mxnet", "all"])
def test_without_images_there_are_no_scales(source, model, quantized):
    with pytest.raises(DataError, match="scales from images, and there are none"):
        quantized(source, model)


def test_what_is_quantised_is_not_quantised_again(onnx_int8, mxnet_int8, images, source):
    with pytest.raises(ModelError, match="the model is int8 already"):
        quantize_onnx(onnx_int8, images)
    with pytest.raises(ModelError, match="the model is int8 already"):
        quantize_openvino(onnx_int8.SerializeToString(), images)
    with pytest.raises(ModelError, match="is int8 already, as `ssdreg quantize` wrote it"):
        quantize_mxnet(mxnet_int8, images)
    with pytest.raises(ModelError, match="is bfloat16 already"):
        quantize_mxnet(bfloat16_mxnet(source), images)


@pytest.mark.parametrize("backend", ENGINES)
def test_a_name_that_is_no_layer(source, examples, backend):
    with pytest.raises(ModelError, match="no convolution 'stage1_unit1_conv': there are "
                                         "'stage1_unit1_conv"):
        quantize_model(source, examples, backend, drop=None, keep=["stage1_unit1_conv"])


@pytest.mark.parametrize(("backend", "precision", "sentence"), [
    ("onnxruntime", "bfloat16", "ONNX Runtime has no bfloat16 on processors"),
    ("tensorrt", "int8", "there is no backend 'tensorrt': choose one of onnxruntime, openvino"),
    ("openvino", "int4", "there is no precision 'int4' to quantise to: choose one of int8")])
def test_what_there_is_not(source, examples, backend, precision, sentence):
    with pytest.raises(ModelError, match=sentence):
        quantize_model(source, examples, backend, precision)


def test_a_processor_without_bfloat16(source, monkeypatch):
    monkeypatch.setattr(processor, "_processor_flags", lambda: frozenset({"avx2"}))
    assert not multiplies_bfloat16()
    with pytest.raises(ModelError, match="this processor has no bfloat16"):
        quantize_model(source, [], "openvino", "bfloat16")
    # of vectors of 8 float32, which MXNet's oneDNN of 2021 does not know
    monkeypatch.setattr(processor, "_processor_flags", lambda: frozenset({"avx_ne_convert"}))
    assert multiplies_bfloat16()
    with pytest.raises(ModelError, match="this processor has no bfloat16"):
        quantize_model(source, [], "mxnet", "bfloat16")


def test_flags_of_a_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_int8\n\nprocessor\t: 1\n")
    assert flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_int8"}
    assert flags(cpuinfo) & BFLOAT16
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n")
    assert "bf16" in flags(cpuinfo)
    assert flags(tmp_path / "nowhere") == frozenset()


# Files

def test_a_run_of_int8_is_replaced_whole_and_nothing_else_is(mxnet_int8, source, tmp_path):
    engine, folder = ENGINES["mxnet"], tmp_path / "int8"
    engine.write(mxnet_int8, folder)
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["SHA256SUMS", "config.json", "deploy-symbol.json", "quantised.json",
                     "ssd-0001.params"]
    assert json.loads((folder / "quantised.json").read_text())["precision"] == "int8"
    assert facts_of(open_deploy_model(folder)).precision == "int8"
    engine.write(bfloat16_mxnet(source), folder)
    assert facts_of(open_deploy_model(folder)).precision == "bfloat16"
    assert [each.name for each in tmp_path.iterdir()] == ["int8"]


def test_sizes_are_those_of_the_files(onnx_int8, openvino_int8, mxnet_int8, tmp_path):
    for backend, made in (("onnxruntime", onnx_int8), ("openvino", openvino_int8),
                          ("mxnet", mxnet_int8)):
        engine = ENGINES[backend]
        folder = tmp_path / backend
        folder.mkdir()
        engine.write(made, folder / f"detector{engine.suffix}")
        written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert engine.weigh(made) == pytest.approx(written, rel=0.01)


def test_an_onnx_file_that_is_int8_is_valid(onnx_int8):
    onnx.checker.check_model(onnx_int8, full_check=True)
    assert {each.domain for each in onnx_int8.opset_import} <= {"", "ai.onnx.ml", "com.microsoft"}
    assert isinstance(openvino.Core().read_model(onnx_int8.SerializeToString()), openvino.Model)
