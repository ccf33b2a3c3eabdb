"""Real engines under measurement: every kind of model, the cut behind the network, the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support.runs import UNUSED, command, refused

from ssdreg.bench import engine_worker, model_worker, peak_worker, post_worker
from ssdreg.bench.comparison import _kind, processor
from ssdreg.bench.configurations import CONFIGURATIONS, choose
from ssdreg.bench.figures import Configuration
from ssdreg.bench.measure import Schedule
from ssdreg.bench.peak import peak_tasks
from ssdreg.bench.post import (
    NETWORK,
    PARTS,
    REST,
    WHOLE,
    cut_model,
    cut_symbol,
    measure_post,
)
from ssdreg.bench.workload import (
    batches,
    count_multiply_adds,
    drawn_images,
    prepare_workload,
    read_images,
)
from ssdreg.deploy.model import open_deploy_model, random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import BenchError, DataError

SIDE, BATCH, CLASSES = 64, 2, 6


def needs(configuration):
    """Skip what cannot be measured here, with the reason that the command gives."""
    missing = [each.why for each in choose().missing if each.configuration == configuration]
    if missing:
        pytest.skip(missing[0])


@pytest.fixture(scope="module")
def source():
    return random_deploy_model("resnet18", CLASSES, SIDE, overrides=Overrides(tap_strides=(8, 16)))


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return prepare_workload(source, drawn_images((SIDE, SIDE), 4), folder)


@pytest.fixture(scope="module")
def models(prepared, tmp_path_factory):
    """Make models of each kind once, when they are first asked for."""
    made = {"source": str(prepared.folder)}

    def model(kind):
        if kind not in made:
            job = {"kind": kind, "source": str(prepared.folder), "images": str(prepared.images),
                   "batch": BATCH, "folder": str(tmp_path_factory.mktemp("model"))}
            made[kind] = model_worker.prepare(job)[0]["model"]
        return made[kind]
    return model


def job(configuration, prepared, model, **others):
    return {"backend": configuration.backend, "precision": configuration.precision, "model": model,
            "images": str(prepared.images), "batch": BATCH, "threads": 1, **others}


def test_what_is_saved_for_workers_is_the_detector(source, prepared):
    again = open_deploy_model(prepared.folder)
    assert (again.plan, again.classes) == (source.plan, source.classes)
    assert again.symbol.tojson() == source.symbol.tojson()
    assert set(again.params.args) == set(source.params.args)
    assert np.load(prepared.images).shape == (4, SIDE, SIDE, 3)
    assert prepared.workload.anchors == source.plan.anchors


def test_multiply_adds_are_those_of_all_convolutions(source):
    internals = source.symbol.get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, 3, SIDE, SIDE))
    maps = dict(zip(internals.list_outputs(), shapes))
    weights = {name[:-len("_weight")]: array.shape for name, array in source.params.args.items()
               if name.endswith("_weight")}
    assert any("cls_pred_conv" in name for name in weights)
    assert count_multiply_adds(source) == sum(
        math.prod(shape) * math.prod(maps[f"{name}_output"][2:])
        for name, shape in weights.items())


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.name)
def test_every_configuration_detects_in_its_precision(configuration, prepared, models):
    needs(configuration)
    facts, work = engine_worker.prepare(job(configuration, prepared, models(_kind(configuration))))
    assert facts["precision"] == configuration.precision
    # random weights find much; all engines find it
    assert facts["boxes"] > 20
    assert work().shape[0] == BATCH


def test_a_precision_that_is_not_the_one_shown_is_refused(prepared, models):
    configuration = Configuration("onnxruntime", "float32")
    needs(configuration)
    mislabelled = {**job(configuration, prepared, models("onnx")), "precision": "int8"}
    with pytest.raises(BenchError, match="is computed in float32, not in int8"):
        engine_worker.prepare(mislabelled)


def test_a_model_is_cut_off_behind_its_predictions(source, models):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="it runs what is cut off")
    from ssdreg.mx import mx
    whole = onnx.load(models("onnx"))
    cut = cut_model(whole)
    kinds = {node.op_type for node in cut.graph.node}
    assert not kinds & {"Softmax", "TopK", "NonMaxSuppression", "Exp"}
    assert (sum(node.op_type == "Conv" for node in cut.graph.node)
            == sum(node.op_type == "Conv" for node in whole.graph.node))
    images = drawn_images((SIDE, SIDE), BATCH)
    found = onnxruntime.InferenceSession(
        cut.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"images": images})
    # MXNet's symbol, cut off likewise
    mean, std = (np.array(each, "float32") for each in (source.plan.preprocessing.mean,
                                                        source.plan.preprocessing.std))
    symbol = cut_symbol(source.symbol)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(BATCH, 3, SIDE, SIDE))
    executor.copy_params_from(dict(source.params.args), dict(source.params.auxs),
                              allow_extra_params=True)
    scores, offsets = (output.asnumpy() for output in executor.forward(
        data=mx.nd.array(((images - mean) / std).transpose(0, 3, 1, 2))))
    anchors = source.plan.anchors
    assert (scores.shape, offsets.shape) == (
        (BATCH, CLASSES + 1, anchors), (BATCH, 4 * anchors))
    by_size = {each.size: each for each in found}
    assert set(by_size) == {scores.size, offsets.size}
    np.testing.assert_allclose(by_size[offsets.size].reshape(offsets.shape), offsets, atol=1e-3)
    ours = by_size[scores.size]
    np.testing.assert_allclose(
        ours.transpose(0, 2, 1) if ours.shape != scores.shape else ours, scores, atol=1e-3)


@pytest.mark.parametrize("backend", ["mxnet", "onnxruntime", "openvino"])
def test_the_parts_of_a_detector_make_the_whole(backend, prepared, models):
    configuration = Configuration(backend, "float32")
    needs(configuration)
    found = {}
    for part in PARTS:
        _, work = post_worker.prepare(job(configuration, prepared, models(_kind(configuration)),
                                          part=part))
        found[part] = work()
    assert len(found[NETWORK]) == 2
    whole, = found[WHOLE].values()
    rest, = found[REST].values()
    used = whole[..., 0] >= 0
    assert used.sum() > 20
    assert (used == (rest[..., 0] >= 0)).all()
    np.testing.assert_allclose(rest[used], whole[used], atol=1e-4)


def test_post_processing_is_measured_in_turns(prepared, models):
    configuration = Configuration("onnxruntime", "float32")
    needs(configuration)
    (post,), missing = measure_post([configuration], {configuration.name: models("onnx")}, prepared,
                                    BATCH, 1, Schedule(rounds=2, timed=1))
    assert (post.configuration, post.batch, missing) == (configuration, BATCH, [])
    assert post.share > 0
    assert 0 < post.rest.lower <= post.rest.median <= post.rest.upper


def test_post_processing_that_fails_is_said(prepared, tmp_path):
    configuration = Configuration("onnxruntime", "float32")
    needs(configuration)
    found, (missing,) = measure_post([configuration],
                                     {configuration.name: str(tmp_path / "none.onnx")},
                                     prepared, BATCH, 1, Schedule(rounds=1, timed=1))
    assert found == []
    assert missing.configuration == configuration
    assert missing.why.startswith("post-processing, onnxruntime float32 whole: FileNotFoundError")


@pytest.mark.parametrize("name", peak_tasks(("float32", "bfloat16", "int8"), 1, (64,)))
def test_matrices_are_multiplied(name):
    task = peak_tasks(("float32", "bfloat16", "int8"), 1, (64,))[name]
    assert name == f"{task.job['engine']} {task.job['precision']} 64"
    _, work = peak_worker.prepare(task.job)
    work()


@pytest.mark.parametrize(("model", "tolerance"), [
    ("_floating_model", 1e-4), ("_integer_model", 0), ("_quantized_model", 0.5)])
def test_the_models_of_the_peak_multiply(model, tolerance):
    onnxruntime = pytest.importorskip("onnxruntime", reason="it runs the models")
    from onnx import load_from_string, numpy_helper
    written, left = getattr(peak_worker, model)(64)
    constants = {tensor.name: numpy_helper.to_array(tensor)
                 for tensor in load_from_string(written).graph.initializer}
    right = constants["right"].astype("float64") * constants.get("scale", 1)
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    found = session.run(None, {"left": left})[0]
    assert found.shape == (64, 64)
    np.testing.assert_allclose(found, left.astype("float64") @ right, atol=tolerance)


def test_images_are_read_resized_and_cut_into_full_batches(tmp_path):
    from PIL import Image
    for number in range(3):
        Image.new("RGB", (40 + number, 30), (number * 50, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = read_images(tmp_path, (16, 24))
    assert found.shape == (3, 16, 24, 3)
    assert [int(image[0, 0, 0]) for image in found] == [0, 50, 100]
    assert [[int(image[0, 0, 0]) for image in batch] for batch in batches(found, 2)] == [
        [0, 50], [100, 0]]
    assert len(batches(found, 8)[0]) == 8
    with pytest.raises(DataError, match="notes is no folder"):
        read_images(tmp_path / "notes", (16, 24))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image"):
        read_images(tmp_path / "empty", (16, 24))


def test_the_processors_name_is_read(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some Processor\n")
    assert processor(tmp_path / "cpuinfo") == "Some Processor"
    assert processor(tmp_path / "none")


def test_the_command_measures_prints_and_draws(capsys, tmp_path):
    done = command(capsys, "bench", "resnet18", "--data-shape", SIDE, "--tap-strides", "8,16",
                   "--backends", "mxnet", "--precisions", "float32", "--rounds", 2,
                   "--threads", 1, "--no-peak", "--json", "--chart", tmp_path / "bars.svg")
    assert done.status == 0
    assert [line.startswith(UNUSED) for line in done.err.splitlines()] == [True]
    found = json.loads(done.out)
    row, = found["rows"]
    assert row["configuration"] == {"backend": "mxnet", "precision": "float32"}
    assert (row["samples"], row["ratio"], row["share"]) == (6, 1.0, None)
    assert row["seconds"]["lower"] <= row["seconds"]["median"] <= row["seconds"]["upper"]
    assert (found["machine"]["threads"], found["missing"], found["peaks"]) == (1, [], [])
    assert "resnet18, ssd at 64x64, batch 1" in (tmp_path / "bars.svg").read_text()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (("nowhere/run",), "nowhere"),
    (("resnet19",), "resnet18"),
    (("resnet18", "--rounds", "0"), "--rounds 0 cannot be: give 1 or more"),
    (("resnet18", "--threads", "0"), "--threads 0 cannot be: give 1 or more"),
    (("resnet18", "--batch-size", "1,0"), "--batch-size 1,0: give 1 or more images"),
    (("resnet18", "--chart", "bars.what"), "its suffix is to be .svg or .png"),
    (("resnet18", "--backends", "none"), "there is no backend 'none'"),
    (("resnet18", "--images", "nowhere"), "nowhere is no folder"),
])
def test_bad_arguments_are_one_sentence(capsys, arguments, sentence):
    assert refused(command(capsys, "bench", *arguments), sentence)


def test_what_a_run_knows_is_not_asked(capsys, prepared):
    done = command(capsys, "bench", prepared.folder, "--num-classes", 3)
    assert refused(done, "--num-classes goes with a backbone")
    done = command(capsys, "bench", prepared.folder, "--data-shape", 128)
    assert refused(done, "is a run, which knows its classes, input size")
