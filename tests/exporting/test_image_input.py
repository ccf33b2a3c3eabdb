"""A file that takes a picture as it is finds what `Detector` finds, on every runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from attrs import evolve
from onnx import TensorProto, helper
from PIL import Image
from ssdreg_runtime import Detector, ModelError
from ssdreg_runtime.backends import open_backend
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.io.images import resize
from ssdreg_runtime.system.processor import multiplies_bfloat16
from ssdreg_runtime.system.telemetry import no_telemetry
from support.exporting import ALIVE
from support.paths import SHARED
from support.runs import SIDE, command, refused

from ssdreg.data.synthetic import draw_shapes
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import ExportError
from ssdreg.exporting import Options, to_onnx
from ssdreg.exporting.image_input import with_image_input
from ssdreg.quantization.onnxruntime.int8 import quantize_onnx
from ssdreg.runs.params import Params

with no_telemetry():
    import onnxruntime
    import openvino

PHOTOS = SHARED / "data" / "bccd" / "JPEGImages"
HEIGHT, WIDTH = 96, 128
#: Heights and widths: a pixel, a line, smaller, the network's own, larger, and odd ones.
SIZES = [(1, 1), (1, 50), (50, 1), (3, 2), (50, 70), (HEIGHT, WIDTH), (97, 129), (300, 100),
         (480, 640), (777, 1001), (192, 2000), (2160, 3840)]
OUTPUTS = ["boxes", "scores", "labels"]


@pytest.fixture(scope="module")
def source():
    """A detector whose weights are random, so that it finds something everywhere."""
    made = random_deploy_model("resnet18", 3, (HEIGHT, WIDTH),
                               overrides=Overrides(tap_strides=(8, 16)))
    args = {name: array * (0.05 if "cls_pred" in name else 1)
            for name, array in made.params.args.items()}
    return evolve(made, params=Params(args, made.params.auxs))


@pytest.fixture(scope="module")
def plain(source):
    return to_onnx(source)


@pytest.fixture(scope="module")
def taking(source):
    """The same, taking a picture as it is."""
    return to_onnx(source, Options(input="image"))


@pytest.fixture(scope="module")
def pictures():
    """Noise of many sizes, in which every pixel counts, drawn pictures, photos where there are."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    photos = [np.asarray(Image.open(file).convert("RGB"))
              for file in sorted(PHOTOS.glob("*.jpg"))[:3]]
    return [*noise, np.asarray(draw_shapes((300, 200), rng)[0]), *photos]


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(),
                                        providers=["CPUExecutionProvider"])


def compiled(model):
    core = openvino.Core()
    made = core.compile_model(core.read_model(model.SerializeToString()), "CPU",
                              {"INFERENCE_PRECISION_HINT": "f32"})
    ALIVE.append(made)
    return lambda picture: [made(picture)[index].copy() for index in range(len(made.outputs))]


def by_onnxruntime(model):
    opened = session(model)
    return lambda picture: opened.run(None, {"image": picture})


RUNTIMES = {"onnxruntime": by_onnxruntime, "openvino": compiled}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_network_sees_the_same_pixels_to_the_bit(taking, pictures, runtime):
    seen = onnx.ModelProto()
    seen.CopyFrom(taking)
    seen.graph.output.append(helper.make_tensor_value_info(
        "images", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3]))
    run = RUNTIMES[runtime](seen)
    for picture in pictures:
        np.testing.assert_array_equal(run(picture)[-1][0], resize(picture, (HEIGHT, WIDTH)))


def test_it_finds_what_a_detector_finds(source, plain, taking, pictures, tmp_path):
    file = tmp_path / "plain.onnx"
    file.write_bytes(plain.SerializeToString())
    detector, opened = Detector(file, "onnxruntime"), session(taking)
    assert [port.name for port in opened.get_outputs()] == OUTPUTS
    assert [port.type for port in opened.get_outputs()] == [
        "tensor(float)", "tensor(float)", "tensor(int32)"]
    for picture, wanted in zip(pictures, detector.detect(pictures)):
        boxes, scores, labels = opened.run(OUTPUTS, {"image": picture})
        assert len(wanted) > 5
        np.testing.assert_allclose(boxes, wanted.xyxy, rtol=0, atol=1e-3)
        np.testing.assert_allclose(scores, wanted.scores, rtol=0, atol=1e-3)
        np.testing.assert_array_equal(labels, wanted.labels)
        assert (np.diff(scores) <= 0).all()


def test_a_model_of_any_batch_takes_a_picture_too(source, taking, pictures):
    opened = [session(model) for model in (
        taking, with_image_input(to_onnx(source, Options(batch=None))))]
    one, two = (each.run(OUTPUTS, {"image": pictures[6]}) for each in opened)
    for mine, yours in zip(one, two):
        np.testing.assert_allclose(mine, yours, rtol=0, atol=1e-3)


@pytest.mark.parametrize("changes", [
    {"nms_threshold": 0.0}, {"force_suppress": True}, {"threshold": 0.9}])
def test_every_way_of_suppression(source, pictures, tmp_path, changes):
    """Without suppression a file's rows are not sorted, and above all scores there are none."""
    changed = evolve(source, symbol=_with_rules(source.symbol, **changes))
    file = tmp_path / "plain.onnx"
    file.write_bytes(to_onnx(changed).SerializeToString())
    opened = session(to_onnx(changed, Options(input="image")))
    picture = pictures[4]
    wanted = Detector(file, "onnxruntime").detect(picture)[0]
    boxes, scores, labels = opened.run(OUTPUTS, {"image": picture})
    np.testing.assert_allclose(boxes, wanted.xyxy, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(scores, wanted.scores)
    np.testing.assert_array_equal(labels, wanted.labels)


def _with_rules(symbol, **changes):
    from ssdreg.mx import mx
    text = symbol.tojson()
    for name, value in changes.items():
        text = _set(text, name, str(value))
    return mx.sym.load_json(text)


def _set(text, name, value):
    import json
    graph = json.loads(text)
    node = next(each for each in graph["nodes"] if each["op"].endswith("MultiBoxDetection"))
    node["attrs"][name] = value
    return json.dumps(graph)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_detector_runs_it_too(plain, taking, pictures, tmp_path, runtime):
    files = [tmp_path / "plain.onnx", tmp_path / "taking.onnx"]
    for file, model in zip(files, (plain, taking)):
        file.write_bytes(model.SerializeToString())
    wanted, found = (Detector(file, runtime).detect(pictures[4:8]) for file in files)
    for one, two in zip(wanted, found):
        assert len(one) == len(two) > 5
        np.testing.assert_allclose(two.xyxy, one.xyxy, rtol=0, atol=1e-2)
        np.testing.assert_allclose(two.scores, one.scores, rtol=0, atol=1e-4)
    stricter = [Detector(file, runtime, iou=0.1).detect(pictures[7])[0] for file in files]
    assert len(stricter[0]) == len(stricter[1]) < len(wanted[3])
    backend = open_backend(files[1], runtime)
    assert isinstance(backend, PictureBackend)
    rows = backend.run_picture(pictures[7])
    np.testing.assert_allclose(rows, wanted[3].rows, rtol=0, atol=1e-3)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="the processor has no bfloat16")
def test_bfloat16_has_too_few_digits_for_boxes(taking):
    with pytest.raises(ModelError, match="need more digits than bfloat16 has"):
        open_backend(taking.SerializeToString(), "openvino", precision="bfloat16")


def test_eight_bits_take_a_picture_too(plain, pictures, tmp_path, capsys):
    images = [resize(picture, (HEIGHT, WIDTH))[None] for picture in pictures[-4:]]
    file = tmp_path / "model-int8.onnx"
    file.write_bytes(quantize_onnx(plain, images).SerializeToString())
    done = command(capsys, "export", file, "--input", "image")
    assert done.status == 0, done.err
    assert "resnet18, ssd, opset 17, int8" in done.out
    opened = session(onnx.load(str(tmp_path / "model-int8-image.onnx")))
    for picture, wanted in zip(pictures, Detector(file, "onnxruntime").detect(pictures)):
        boxes, scores, _ = opened.run(OUTPUTS, {"image": picture})
        np.testing.assert_allclose(boxes, wanted.xyxy, rtol=0, atol=1e-3)
        np.testing.assert_allclose(scores, wanted.scores, rtol=0, atol=1e-3)


# By the command

def test_a_run_is_written_and_compared_on_pictures_as_they_are(capsys, tiny_run, tiny_shapes,
                                                               tmp_path):
    pictures = sorted((tiny_shapes / "JPEGImages").iterdir())[:2]
    for arguments in (["--out", tmp_path / "a.onnx"],
                      ["--out", tmp_path / "a.xml", "--format", "openvino"]):
        done = command(capsys, "export", tiny_run, "--input", "image", "--check", *pictures,
                       *arguments)
        assert done.status == 0, done.out + done.err
        assert "image: a picture of RGB of any size, as it is" in done.out
        assert "compared with MXNet on 2 images:" in done.out
        assert done.out.count(" equal") == (2 if "openvino" not in arguments else 1)
    found = Detector(tmp_path / "a.xml").detect(pictures[0])[0]
    wanted = Detector(tmp_path / "a.onnx", "onnxruntime").detect(pictures[0])[0]
    np.testing.assert_allclose(found.xyxy, wanted.xyxy, rtol=0, atol=1e-2)


def test_openvinos_own_files(capsys, tiny_run, tiny_shapes, tmp_path):
    picture = next((tiny_shapes / "JPEGImages").iterdir())
    done = command(capsys, "export", tiny_run, "--format", "openvino", "--out", tmp_path / "a.xml",
                   "--check", picture)
    assert done.status == 0, done.out + done.err
    assert {file.name for file in tmp_path.iterdir()} == {"a.xml", "a.bin"}
    assert f"images: {SIDE}x{SIDE} pixels of RGB, 1 at a time" in done.out
    again = command(capsys, "export", tiny_run, "--format", "openvino", "--out", tmp_path / "a.xml")
    assert again.out.startswith("replaced")
    (tmp_path / "a.xml").write_text("<net/>")
    assert refused(command(capsys, "export", tiny_run, "--format", "openvino", "--out",
                           tmp_path / "a.xml"), "was not written by ssdreg")


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--dynamic-batch"], "--input image is one picture of any size"),
    (["--batch-size", 4], "--input image is one picture of any size"),
    (["--no-nms"], "leave one of them out"),
    (["--format", "openvino", "--out", "a.onnx"], "a.onnx does not end in .xml")])
def test_what_it_cannot_be_with(capsys, tiny_run, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert refused(command(capsys, "export", tiny_run, "--input", "image", *arguments), sentence)
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_written_anew(capsys, source, plain, taking, tmp_path):
    several = to_onnx(source, Options(batch=2))
    raw = to_onnx(source, Options(nms=False))
    foreign = onnx.ModelProto(ir_version=8)
    foreign.graph.name = "foreign"
    for model, arguments, sentence in (
            (taking, ["--input", "image"], "takes a picture as it is already"),
            (several, ["--input", "image"], "takes 2 images at a time"),
            (raw, ["--input", "image"], "is no detector with suppression"),
            (plain, [], "is an ONNX file already"),
            (plain, ["--input", "image", "--precision", "float16"], "is exported already"),
            (foreign, ["--input", "image"], "was not written by ssdreg")):
        file = tmp_path / "given.onnx"
        file.write_bytes(model.SerializeToString())
        assert refused(command(capsys, "export", file, "--out", tmp_path / "made.onnx", *arguments),
                       sentence)
    assert {file.name for file in tmp_path.iterdir()} == {"given.onnx"}
    with pytest.raises(ExportError, match="takes 2 images at a time"):
        with_image_input(several)
