"""Detectors: images of all kinds and sizes in, what was found in them out, in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from runtime_support.tiny_model import CLASSES, DATA_SHAPE, picture, tiny_model
from ssdreg_runtime import DataError, Detections, Detector, ModelError
from ssdreg_runtime.backends import BACKENDS, installed, open_backend

RED, GREEN, BLUE, DARK = (200, 0, 0), (0, 250, 0), (10, 0, 100), (0, 0, 0)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    if request.param not in installed():
        pytest.skip(f"the package {request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, batch in (("one", 1), ("three", 3), ("any", None)):
        onnx.save(tiny_model(batch), folder / f"{name}.onnx")
    return folder


@pytest.fixture(params=["one", "three", "any"])
def detector(request, files, backend):
    return Detector(files / f"{request.param}.onnx", backend, threads=1)


def coloured(*colors, size=(40, 20)):
    return picture([*colors, *[DARK] * (4 - len(colors))], size)


# One image

def test_what_a_detector_says_of_itself(files, backend):
    detector = Detector(files / "one.onnx", backend, threads=1)
    assert (detector.classes, detector.data_shape) == (CLASSES, DATA_SHAPE)
    assert (detector.backend, detector.precision) == (backend, "float32")
    assert repr(detector) == (f"<Detector mean on quarters, 8x12, 3 classes, {backend}, float32>")


def test_one_image_of_every_kind(detector, tmp_path):
    image = coloured(RED, GREEN)
    file = tmp_path / "one.png"
    Image.fromarray(image).save(file)
    for given in (image, Image.fromarray(image), file, str(file), [image], (file,),
                  iter([image]), image[None], detector.prepare(image)):
        [found] = detector.detect(given)
        assert isinstance(found, Detections)
        assert (found.names, found.size, found.error) == (("green", "red"), (40, 20), "")
        assert found.xyxy.tolist() == [[20, 0, 40, 10], [0, 0, 20, 10]]
        assert np.allclose(found.scores, [250 / 255, 200 / 255])


def test_grey_images(detector):
    [found] = detector.detect(np.full((20, 40), 128, np.uint8))
    # red is the first of three channels that are equal
    assert found.names == ("red",) * 4
    assert np.allclose(found.scores, 128 / 255)


# Several

def test_images_of_many_sizes_keep_their_order(detector):
    sizes = [(40, 20), (12, 8), (200, 300), (2, 2), (1000, 8), (36, 36), (24, 16)]
    quarters = [[DARK] * place + [RED] for place in range(4)]
    given = [coloured(*quarters[index % 4], size=size) for index, size in enumerate(sizes)]
    found = detector.detect(given)
    assert [each.size for each in found] == sizes
    for index, (each, (width, height)) in enumerate(zip(found, sizes)):
        left, top = index % 4 % 2 * width / 2, index % 4 // 2 * height / 2
        assert each.names[0] == "red"
        assert np.allclose(each.xyxy[0], [left, top, left + width / 2, top + height / 2])
        assert each.to_dict() == detector.detect(given[index])[0].to_dict()


def test_arrays_of_one_size_are_a_batch(detector):
    batch = np.stack([coloured(RED), coloured(GREEN), coloured(BLUE), coloured(DARK)])
    assert [found.names for found in detector.detect(batch)] == [("red",), ("green",), ("blue",),
                                                                 ()]


def test_nothing_given_is_nothing_found(detector):
    assert detector.detect([]) == []
    assert detector.detect(np.zeros((0, 20, 40, 3), np.uint8)) == []


def test_images_are_taken_as_they_come(files, backend):
    inner, runs, taken = open_backend(files / "any.onnx", backend, 1), [], []

    class Noting:
        name, precision, facts = inner.name, inner.precision, inner.facts

        def run(self, images):
            runs.append((len(images), len(taken)))
            return inner.run(images)

    def images():
        for index in range(5):
            taken.append(index)
            yield coloured(RED)

    detector = Detector.on(Noting())
    detector.batch_size = 2
    assert [found.names for found in detector.detect(images())] == [("red",)] * 5
    # groups of two, each run before the next image is taken, and the last without filling
    assert runs == [(2, 2), (2, 4), (1, 5)]


def test_a_fixed_batch_is_filled_up(files, backend):
    detector = Detector(files / "three.onnx", backend, threads=1)
    assert detector.batch_size == 3
    assert len(detector.detect([coloured(RED)] * 7)) == 7


def test_a_detector_of_an_open_backend(files, backend):
    detector = Detector.on(open_backend((files / "any.onnx").read_bytes(), backend, 1))
    assert detector.backend == backend
    assert detector.batch_size == 8
    assert detector.detect(coloured(BLUE))[0].names == ("blue",)


# Bad ones

def test_a_bad_image_costs_only_its_own_result(detector, tmp_path):
    file = tmp_path / "cut.jpg"
    Image.fromarray(coloured(RED, size=(64, 64))).save(file)
    file.write_bytes(file.read_bytes()[:300])
    good = coloured(RED)
    found = detector.detect([good, file, good, np.zeros((4, 4, 2), np.uint8), good,
                             np.zeros((0, 4, 3), np.uint8), None, good])
    assert [len(each) for each in found] == [1, 0, 1, 0, 1, 0, 0, 1]
    errors = [each.error for each in found]
    assert [bool(error) for error in errors] == [False, True, False, True, False, True, True,
                                                 False]
    assert errors[1].startswith(f"image 1: {file} cannot be read as an image: ")
    assert errors[3].startswith("image 3: an array of shape (4, 4, 2) is no image: ")
    assert errors[5].startswith("image 5: an image of 4x0 pixels has none")
    assert errors[6].startswith("image 6: NoneType is no image")
    assert found[1].to_dict() == {"width": 0, "height": 0, "objects": [], "error": errors[1]}


def test_only_bad_images_are_an_error(detector):
    with pytest.raises(DataError, match=r"image 0: nowhere\.jpg is not there: give an image"):
        detector.detect("nowhere.jpg")
    with pytest.raises(DataError, match=r"image 0: a\.jpg is not there"):
        detector.detect(["a.jpg", Path("b.jpg")])
    with pytest.raises(DataError, match="image 0: bytes is no image"):
        detector.detect(b"\xff\xd8")
    with pytest.raises(DataError, match="image 0: int is no image"):
        detector.detect(7)
    with pytest.raises(DataError, match=r"image 0: an array of shape \(20, 40, 4\) is no image"):
        detector.detect(np.zeros((20, 40, 4), np.uint8))


def test_an_answer_that_means_nothing_costs_only_its_own_result(tmp_path, backend):
    # a picture that is black all over gives a score that is no number: 0 / 0
    model = tiny_model(None)
    divide = next(node for node in model.graph.node if node.op_type == "Div")
    divide.input[1] = "brightness"
    # what is no number is not above any threshold, so that the row must not be dropped by it
    where = next(node for node in model.graph.node if node.op_type == "Where")
    where.op_type, where.input[:] = "Identity", ["numbered"]
    onnx.save(model, tmp_path / "nan.onnx")
    detector = Detector(tmp_path / "nan.onnx", backend, threads=1)
    light = np.full((8, 12, 3), 9, np.uint8)
    found = detector.detect([light, np.zeros((8, 12, 3), np.uint8), light])
    assert [len(each) for each in found] == [4, 0, 4]
    assert found[1].error.startswith("image 1: the detections hold a number that is not finite")
    assert found[1].size == (12, 8)


def test_a_generator_that_fails_is_heard(detector):
    def images():
        yield coloured(RED)
        raise OSError("the camera was unplugged")

    with pytest.raises(OSError, match="the camera was unplugged"):
        detector.detect(images())


def test_a_model_that_is_none(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx is not there"):
        Detector(tmp_path / "none.onnx")


# Importing

def test_importing_the_package_imports_nothing_large():
    script = ("import sys, ssdreg_runtime; print(*{'numpy', 'PIL', 'onnxruntime', 'openvino', "
              "'mxnet', 'ssdreg'} & set(sys.modules)); ssdreg_runtime.Detector; "
              "print(*{'onnxruntime', 'openvino', 'onnx', 'mxnet', 'ssdreg'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "\n\n"
