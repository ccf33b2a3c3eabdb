"""One detector on three backends, of runs, checkpoints and exported files; the same answers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import ssdreg_runtime
from attrs import evolve
from PIL import Image
from ssdreg_runtime.backends import BACKENDS, installed
from ssdreg_runtime.io.images import resize
from ssdreg_runtime.system import processor
from ssdreg_runtime.system.processor import has_wide_vectors, multiplies_bfloat16
from support import paths

import ssdreg
from ssdreg.data.synthetic import draw_shapes
from ssdreg.deploy.executor import detect_images, open_inference
from ssdreg.deploy.model import open_deploy_model, random_deploy_model
from ssdreg.deploy.mxnet_backend import MXNetBackend, facts_of
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import ModelError, RunError, SsdregError
from ssdreg.exporting import Options, write_onnx
from ssdreg.mx import mx, threads
from ssdreg.quantization import bfloat16_mxnet, quantize_mxnet
from ssdreg.runs.params import Params, write_params
from ssdreg.runs.run import create_run

PHOTOS = paths.SHARED / "data" / "bccd" / "JPEGImages"
CLOSE = 1e-3


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param not in installed():
        pytest.skip(f"the package {request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def source():
    """A detector whose weights are random, so that it finds something everywhere."""
    made = random_deploy_model("resnet18", 3, (96, 128), overrides=Overrides(tap_strides=(8, 16)))
    # with smaller logits scores lie far apart, and none are 1.0 that could come in any order
    args = {name: array * (0.05 if "cls_pred" in name else 1)
            for name, array in made.params.args.items()}
    return evolve(made, params=Params(args, made.params.auxs))


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "detector.onnx"
    write_onnx(source, file)
    return file


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    """The same as a run, which its training symbol does not matter for."""
    folder = tmp_path_factory.mktemp("runs") / "random"
    made = create_run(folder, source.classes, source.plan, source.symbol, source.symbol)
    for epoch in (1, 5):
        write_params(made.params_file(epoch), source.params)
    return made


@pytest.fixture(scope="module")
def wanted(source, pictures):
    """What MXNet finds in the pictures."""
    return ssdreg.Detector(source, "mxnet").detect(pictures)


@pytest.fixture(scope="module")
def pictures():
    """Drawn pictures of several sizes, and real photos where there are some."""
    rng = np.random.default_rng(0)
    drawn = [np.asarray(draw_shapes(size, rng)[0]) for size in ((64, 64), (300, 100), (128, 96))]
    photos = sorted(PHOTOS.glob("*.jpg"))[:3]
    return [*drawn, *(np.asarray(Image.open(file).convert("RGB")) for file in photos)]


def same(found, wanted):
    """Tell whether rows of two results are the same objects, in the same order but for ties."""
    if found.shape != wanted.shape:
        return False
    apart = np.abs(found[:, None] - wanted[None]).max(axis=2)
    return (np.abs(found[:, 1] - wanted[:, 1]).max(initial=0) <= CLOSE
            and apart.min(axis=0).max(initial=0) <= CLOSE
            and apart.min(axis=1).max(initial=0) <= CLOSE)


# The same answers

def test_a_picture_is_detected_alike_by_all_backends(source, backend, pictures, wanted):
    detector = ssdreg.Detector(source, backend, threads=1)
    assert (detector.backend, detector.precision) == (backend, "float32")
    found = detector.detect(pictures)
    assert len(found) == len(wanted)
    for each, expected in zip(found, wanted):
        assert len(expected) > 20
        assert (each.size, each.classes) == (expected.size, expected.classes)
        assert same(each.rows, expected.rows)
    # and they are no constant
    assert not same(found[0].rows, found[1].rows)


def test_a_run_is_detected_as_predict_does(run, pictures):
    [rows] = detect_images(open_inference(run), run, [Image.fromarray(pictures[1])])
    assert len(rows) > 20
    for name in ("mxnet", *installed()):
        detector = ssdreg.Detector(run.path, name, threads=threads.count)
        assert repr(detector) == f"<Detector ssd on resnet18, 96x128, 3 classes, {name}, float32>"
        assert same(detector.detect(pictures[1])[0].rows, rows)


def test_an_exported_file_is_what_was_exported(exported, backend, pictures, wanted):
    detector = ssdreg.Detector(exported, backend, threads=1)
    assert isinstance(detector, ssdreg_runtime.Detector)
    for found, expected in zip(detector.detect(pictures), wanted):
        assert same(found.rows, expected.rows)


def test_a_file_for_any_batch(source, tmp_path, backend, pictures):
    write_onnx(source, tmp_path / "any.onnx", Options(batch=None))
    detector = ssdreg.Detector(tmp_path / "any.onnx", backend, threads=1)
    together = detector.detect(pictures)
    for picture, found in zip(pictures, together):
        assert same(detector.detect(picture)[0].rows, found.rows)


@pytest.mark.parametrize("name", ["openvino", "mxnet"])
def test_bfloat16_is_close_and_not_the_same(source, pictures, name):
    if name not in ("mxnet", *installed()):
        pytest.skip(f"the package {name} is not installed")
    if not multiplies_bfloat16():
        with pytest.raises(ModelError, match="this processor has no bfloat16"):
            ssdreg.Detector(source, name, precision="bfloat16")
        return
    plain = ssdreg.Detector(source, name).detect(pictures[0])[0]
    short = ssdreg.Detector(source, name, precision="bfloat16")
    assert short.precision == "bfloat16"
    scores = short.detect(pictures[0])[0].scores[:5]
    # were float32 not asked for, OpenVINO would compute in bfloat16 here too
    assert 1e-5 < np.abs(scores - plain.scores[:5]).max() < 0.1


def test_float16_is_exported_on_the_way(source, backend, pictures):
    detector = ssdreg.Detector(source, backend, threads=1, precision="float16")
    assert detector.precision == "float16"
    plain = ssdreg.Detector(source, backend, threads=1)
    best, expected = (each.detect(pictures[0])[0].scores[:5] for each in (detector, plain))
    assert np.allclose(best, expected, atol=0.02)


# What is asked for besides

def test_another_threshold_of_suppression_is_the_same_everywhere(source, exported, pictures):
    made = {iou: [ssdreg.Detector(given, backend, threads=1, iou=iou)(pictures) for given, backend
                  in ((source, "mxnet"), (source, "onnxruntime"), (source, "openvino"),
                      (exported, "onnxruntime"), (exported, "openvino"))]
            for iou in (None, 0.2, 0.7)}
    for found in made.values():
        for others in found[1:]:
            for one, two in zip(found[0], others):
                assert same(two.rows, one.rows)
    strict, own, loose = (sum(map(len, made[iou][0])) for iou in (0.2, None, 0.7))
    assert strict < own < loose


def test_some_classes_and_the_best_few(exported, pictures, backend):
    everything = ssdreg.Detector(exported, backend)(pictures)
    names = everything[0].classes[1:]
    found = ssdreg.Detector(exported, backend, only=names, max_det=4)(pictures)
    for each, whole in zip(found, everything):
        wanted = [index for index, name in enumerate(whole.names) if name in names][:4]
        np.testing.assert_array_equal(each.xyxy, whole.xyxy[wanted])
        np.testing.assert_array_equal(each.labels, whole.labels[wanted])
        assert each.classes == whole.classes
    with pytest.raises(SsdregError, match=r"--only cow: the detector has no class of that name; "
                                          r"there are "):
        ssdreg.Detector(exported, backend, only="cow")


def test_a_threshold_that_no_suppression_has(exported, source, backend):
    for iou in (0, 1.1, -1):
        for given in (exported, source):
            with pytest.raises(SsdregError, match="is no overlap of boxes"):
                ssdreg.Detector(given, backend, iou=iou)


# What the network sees

@pytest.mark.parametrize(("given", "wanted"), [
    ((480, 640), (300, 300)), ((480, 640), (512, 512)), ((100, 50), (300, 301)),
    ((1, 1), (64, 64)), ((1, 700), (64, 64)), ((700, 1), (64, 64)), ((300, 300), (1, 1)),
    ((600, 600), (300, 300)), ((301, 299), (300, 300)), ((2000, 30), (33, 500)),
    ((3, 2), (100, 1)), ((1080, 1920), (300, 300))])
def test_images_are_resized_as_mxnet_does(given, wanted):
    image = np.random.default_rng(sum(given)).integers(0, 256, (*given, 3), dtype=np.uint8)
    height, width = wanted
    theirs = mx.image.imresize(mx.nd.array(image, dtype="uint8"), width, height, interp=1)
    assert np.array_equal(resize(image, wanted), theirs.asnumpy())


def test_photos_are_resized_as_mxnet_does(pictures):
    for picture in pictures:
        theirs = mx.image.imresize(mx.nd.array(picture, dtype="uint8"), 300, 300, interp=1)
        assert np.array_equal(resize(picture, (300, 300)), theirs.asnumpy())


# MXNet's backend

def test_mxnet_gives_each_image_what_it_gets_alone(source, pictures):
    images = np.stack([resize(picture, (96, 128)) for picture in pictures[:3]])
    images = np.concatenate([images, images[::-1]])
    alone = MXNetBackend(source, 1)
    wanted = np.concatenate([alone.run(images[index:index + 1]) for index in range(6)])
    assert wanted.shape[2] == 6
    for size in (4, 8):
        found = MXNetBackend(source, size).run(images)
        kept = wanted[..., :1] >= 0
        assert found.shape == wanted.shape
        assert np.allclose(np.where(kept, found, 0), np.where(kept, wanted, 0), atol=1e-4)
        assert np.array_equal(found[..., 0], wanted[..., 0])


def test_the_facts_of_a_source_are_those_of_its_file(source, exported):
    written = ssdreg_runtime.backends.open_backend(exported).facts
    assert facts_of(source) == evolve(written, batch=None)
    other = random_deploy_model("resnet18", 2, 64, overrides=Overrides(
        nms_topk=7, nms_threshold=0.3, force_suppress=True))
    facts = facts_of(other)
    assert (facts.nms_topk, facts.nms_threshold, facts.force_suppress) == (7, 0.3, True)


def test_a_source_of_another_precision_is_mxnets_own(source, backend):
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 96, 128, 3), dtype=np.uint8)
    for made, precision in ((bfloat16_mxnet(source), "bfloat16"),
                            (quantize_mxnet(source, images), "int8")):
        if precision == "int8" or has_wide_vectors():
            detector = ssdreg.Detector(made)
            assert (detector.backend, detector.precision) == ("mxnet", precision)
        with pytest.raises(ModelError, match=f"resnet18 was made for MXNet in {precision}: use "
                                             f"the backend mxnet, or give the run"):
            ssdreg.Detector(made, backend)


def test_a_source_of_bfloat16_needs_wide_vectors(source, monkeypatch):
    monkeypatch.setattr(processor, "_processor_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(ModelError, match="resnet18 holds bfloat16, which MXNet computes on proces"
                                         "sors with AVX-512 only: give the run that it was made"):
        ssdreg.Detector(bfloat16_mxnet(source))


def test_parameters_of_another_network(source):
    args = dict(source.params.args)
    name = next(iter(args))
    with pytest.raises(RunError, match="belongs to another network"):
        ssdreg.Detector(evolve(source, params=Params({**args, name: mx.nd.zeros((1,))},
                                                     source.params.auxs)), "mxnet")


def test_mxnet_keeps_its_number_of_threads(source, exported):
    ssdreg.Detector(source, "mxnet", threads=threads.count)
    more = threads.count + 1
    with pytest.raises(SsdregError, match=f"MXNet computes with {threads.count} threads in this "
                                          f"process, and cannot change to {more} any more: set "
                                          f"OMP_NUM_THREADS={more} before, or leave threads out"):
        ssdreg.Detector(source, "mxnet", threads=more)
    with pytest.raises(SsdregError, match="0 is no number of threads: give 1 or more"):
        ssdreg.Detector(source, "mxnet", threads=0)


def test_mxnet_takes_the_number_of_threads_when_it_is_first(run):
    script = ("import sys, ssdreg; ssdreg.Detector(sys.argv[1], 'mxnet', threads=3); "
              "import ssdreg.mx; print(ssdreg.mx.threads.count)")
    done = subprocess.run([sys.executable, "-c", script, str(run.path)], capture_output=True,
                          text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout == "3\n"


# What opens

def test_auto_takes_the_first_that_is_installed(source, monkeypatch):
    here = installed()
    assert ssdreg.Detector(source, threads=threads.count).backend == (*here, "mxnet")[0]
    for place, name in enumerate(here):
        monkeypatch.setitem(sys.modules, name, None)
        detector = ssdreg.Detector(source, threads=threads.count)
        assert detector.backend == (*here[place + 1:], "mxnet")[0]


def test_an_old_checkpoint(source, tmp_path, pictures, wanted, backend):
    mx.model.save_checkpoint(str(tmp_path / "old"), 3, source.symbol, source.params.args,
                             source.params.auxs)
    reopened = open_deploy_model(tmp_path / "old", data_shape=(96, 128), classes=["a", "b", "c"],
                                 preprocessing=source.plan.preprocessing)
    detector = ssdreg.Detector(reopened, backend, threads=1)
    assert detector.classes == ("a", "b", "c")
    for found, expected in zip(detector.detect(pictures[:2]), wanted):
        assert same(found.rows, expected.rows)


def test_an_epoch_of_a_run(run):
    assert ssdreg.Detector(run.path, "mxnet", epoch=5).classes == run.classes
    with pytest.raises(RunError, match=r"ssd-0007\.params is not there: the epochs on disk are "
                                       r"1, 5"):
        ssdreg.Detector(run.path, "mxnet", epoch=7)


# What does not

def test_what_is_refused(source, exported, tmp_path):
    for given, arguments, sentence in (
            (exported, {"backend": "mxnet"}, "was exported, and mxnet cannot run it"),
            (exported, {"epoch": 2}, "holds one epoch's parameters"),
            (exported, {"precision": "int8"}, "detector.onnx holds float32 and cannot be computed"),
            (source, {"backend": "tensorrt"}, "there is no backend 'tensorrt': choose one of auto"),
            (source, {"backend": "mxnet", "precision": "fp8"}, "there is no precision 'fp8'"),
            (source, {"backend": "mxnet", "precision": "int8"}, "is computed in float32 by MXNet"),
            (tmp_path / "no.onnx", {}, "no.onnx is not there"),
            (tmp_path / "no.xml", {"backend": "onnxruntime"}, "no.xml is not there")):
        with pytest.raises(ModelError) as caught:
            ssdreg.Detector(given, **arguments)
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="nowhere"):
        ssdreg.Detector(tmp_path / "nowhere")


def test_a_model_in_memory_has_its_sources_name(source, backend):
    with pytest.raises(ModelError, match=r"^resnet18 holds float32 and cannot be computed in int8"):
        ssdreg.Detector(source, backend, precision="int8")


def test_an_operator_that_cannot_be_exported(source, backend):
    [output] = source.symbol
    strange = evolve(source, symbol=mx.sym.identity(output, name="behind_it"))
    with pytest.raises(ssdreg.errors.ExportError, match=r"behind_it.*; the backend mxnet runs "
                                                        r"it as it is"):
        ssdreg.Detector(strange, backend)


def test_a_model_that_is_opened_again_is_not_compiled_again(exported, tmp_path, source):
    pytest.importorskip("openvino", reason="the package openvino is not installed")
    from ssdreg_runtime.backends import openvino as backend
    picture = np.zeros((40, 60, 3), np.uint8)
    copied = tmp_path / "copied.onnx"
    copied.write_bytes(exported.read_bytes())
    first = ssdreg.Detector(exported, "openvino").detect([picture])
    kept = len(backend._NEVER_FREED)
    second = ssdreg.Detector(copied, "openvino").detect([picture])
    np.testing.assert_array_equal(first[0].rows, second[0].rows)
    assert len(backend._NEVER_FREED) == kept
    # nor does another model of the same name stand in for it
    write_onnx(evolve(source, params=Params(
        {name: array * 0.5 for name, array in source.params.args.items()}, source.params.auxs)),
        copied)
    third = ssdreg.Detector(copied, "openvino").detect([picture])
    assert len(backend._NEVER_FREED) == kept + 1
    assert not np.array_equal(first[0].rows, third[0].rows)
