"""`ssdreg quantize`: from a run to a file that detects in 8 bits, and what is said of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from support.runs import SIDE, command, refused

import ssdreg
from ssdreg.deploy.model import open_deploy_model, random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import DataError
from ssdreg.metrics.voc import ClassAP, Evaluation
from ssdreg.quantization import Quantized
from ssdreg.quantization.calibration import choose_splits
from ssdreg.quantization.quantize import default_out
from ssdreg.quantization.report import PrecisionFigures, QuantizationReport
from ssdreg.quantization.searching import Trial
from ssdreg.quantization.sensitivity import LayerNoise
from ssdreg.quantization.speed import Latency, measure_latency
from ssdreg.runs.run import open_run

FEW = ("--calibration-images", "3", "--rounds", "2", "--drop", "1")


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.mark.parametrize(("backend", "name"), [
    ("onnxruntime", "run/model-int8.onnx"), ("openvino", "run/model-int8.xml"),
    ("mxnet", "run-int8")])
def test_a_run_becomes_a_detector_of_eight_bits(capsys, run, tiny_shapes, tmp_path, backend, name):
    done = command(capsys, "quantize", run, "--data", tiny_shapes, "--backend", backend, "--json",
                   *FEW)
    assert done.status == 0, done.err
    # nothing else on standard output, where NNCF writes its log and its progress bars
    said = json.loads(done.out)
    out = tmp_path / name
    assert said["out"] == str(out)
    assert (said["backend"], said["precision"], said["calibration_images"]) == (backend, "int8", 3)
    assert (said["before"]["precision"], said["after"]["precision"]) == ("float32", "int8")
    if backend != "mxnet":
        assert said["after"]["bytes"] < 0.4 * said["before"]["bytes"]
    for side in (said["before"], said["after"]):
        assert side["evaluation"]["images"] == 6
        times = side["milliseconds"]
        assert 0 < times["lower"] <= times["median"] <= times["upper"]
    detector = ssdreg.Detector(out, backend=backend)
    assert (detector.backend, detector.precision) == (backend, "int8")
    assert len(detector.detect(tiny_shapes / "JPEGImages" / "000001.jpg")) == 1


def test_the_accuracy_before_is_that_of_eval(capsys, run, tiny_shapes):
    done = command(capsys, "quantize", run, "--data", tiny_shapes, "--backend", "mxnet", "--json",
                   *FEW)
    evaluated = command(capsys, "eval", run, "--data", tiny_shapes, "--split", "val", "--json")
    before = json.loads(done.out)["before"]["evaluation"]
    assert before["map"] == pytest.approx(json.loads(evaluated.out)["map"], abs=1e-6)


def test_a_run_of_eight_bits_is_evaluated_and_not_quantised_again(capsys, run, tiny_shapes,
                                                                  tmp_path):
    done = command(capsys, "quantize", run, "--data", tiny_shapes, "--backend", "mxnet", *FEW,
                   "--no-eval")
    assert done.status == 0
    assert done.out.startswith(f"{run} -> {tmp_path / 'run-int8'}: int8 for mxnet, scales from 3 "
                               f"images\n")
    assert "mAP" not in done.out
    eight = tmp_path / "run-int8"
    done = command(capsys, "eval", eight, "--data", tiny_shapes, "--split", "val", "--json")
    assert (done.status, json.loads(done.out)["images"]) == (0, 6)
    photo = tiny_shapes / "JPEGImages" / "000001.jpg"
    done = command(capsys, "predict", eight, photo, "--json", "--threshold", "0.02")
    assert (done.status, json.loads(done.out)[0]["image"]) == (0, str(photo))
    for backend in ("mxnet", "openvino"):
        done = command(capsys, "quantize", eight, "--data", tiny_shapes, "--backend", backend)
        assert refused(done, f"{eight} is int8 already, as `ssdreg quantize` wrote it: give the "
                             f"run that it was made from")
    # it is written again as a whole, in another precision too
    done = command(capsys, "quantize", run, "--data", tiny_shapes, "--backend", "mxnet", *FEW,
                   "--no-eval", "--keep-layers", "stage1_unit1_conv1")
    assert (done.status, "kept in float32: stage1_unit1_conv1" in done.out) == (0, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "run-int8"]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--calibration-images", "0"], "--calibration-images 0 is too few: give 1 or more"),
    (["--rounds", "0"], "--rounds 0 is too few"),
    (["--drop", "2"], "--drop 2 is no loss of mAP: give one of 0 to 1, as 0.01"),
    (["--precision", "bfloat16"], "ONNX Runtime has no bfloat16 on processors: use the backend"),
    (["--out", "x.xml"], "--out x.xml: what this backend reads ends in .onnx"),
    (["--backend", "openvino", "--out", "x.onnx"], "--out x.onnx: what this backend reads ends in"),
    (["--out", "{mine}"], "--out {mine} is there already and no detector of ssdreg: move it away"),
    (["--backend", "mxnet", "--out", "{run}"], "{run} is there already and was not written by "
                                               "`ssdreg quantize`: choose another --out"),
    (["--split", "test"], "test.txt: there is no such split; the splits here are: train"),
    (["--keep-layers", "conv99"], "the network has no convolution 'conv99': there are 'conv0'"),
    (["--classes", "a,b"], "is a run, which knows its classes")])
def test_what_is_refused(capsys, tmp_path, run, tiny_shapes, arguments, sentence):
    mine = tmp_path / "mine.onnx"
    mine.write_text("my own")
    before = sorted(run.iterdir())
    arguments = [each.format(mine=mine, run=run) for each in arguments]
    done = command(capsys, "quantize", run, "--data", tiny_shapes, *arguments)
    assert done.status == 2, done.out
    assert sentence.format(mine=mine, run=run) in done.complaints[-1]
    assert done.out == ""
    assert sorted(run.iterdir()) == before
    assert mine.read_text() == "my own"


def test_data_of_other_classes_are_refused(capsys, run, tiny_shapes, tmp_path):
    other = shutil.copytree(tiny_shapes, tmp_path / "other")
    for file in (other / "Annotations").iterdir():
        text = file.read_text()
        for name in ("circle", "square", "triangle"):
            text = text.replace(name, f"no {name}")
        file.write_text(text)
    done = command(capsys, "quantize", run, "--data", other)
    assert (done.status, done.out) == (2, "")
    assert str(other) in done.complaints[-1]


def test_data_that_are_not_there_are_refused(capsys, run, tmp_path):
    done = command(capsys, "quantize", run, "--data", tmp_path / "nowhere")
    assert done.status == 2
    assert str(tmp_path / "nowhere") in done.complaints[-1]


@pytest.mark.parametrize(("splits", "taken", "measured", "chosen"), [
    (("train", "val", "test", "trainval"), None, None, ("train", "val")),
    (("train", "val", "test", "trainval"), None, "test", ("trainval", "test")),
    (("train", "val", "test", "trainval"), "train", "test", ("train", "test")),
    (("train", "val"), None, "train", ("train", "train")),
    (("train", "val"), "val", None, ("val", "val")),
    ((), None, None, (None, "held-out")),
    (("all",), None, "all", ("all", "all"))])
def test_splits(tmp_path, splits, taken, measured, chosen):
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    for split in splits:
        (tmp_path / "ImageSets" / "Main" / f"{split}.txt").write_text("000001\n")
    assert choose_splits(tmp_path, taken, measured) == chosen


def test_a_packed_file_is_one_split(tmp_path):
    assert choose_splits(tmp_path / "data.rec", None, None) == (None, None)
    with pytest.raises(DataError, match="is one split already: leave --split val out"):
        choose_splits(tmp_path / "data.rec", None, "val")


def test_where_a_checkpoint_goes(tmp_path):
    for name, suffix, wanted in (("model.tar.gz", ".onnx", "model-int8.onnx"),
                                 ("net-symbol.json", ".xml", "net-int8.xml"),
                                 ("net", "", "net-int8")):
        assert default_out(tmp_path / name, suffix, "int8") == tmp_path / wanted


# What is said

def evaluation(ap):
    return Evaluation((ClassAP("cell", ap, ap, 10, 20),), 0.5, 7)


@pytest.fixture
def told():
    layers = (LayerNoise("first", "first_weight", 0.75),
              LayerNoise("second", "second_weight", 0.25))
    trials = (Trial((), 0.85, 0.9), Trial(("first",), 0.895, 0.98))
    source = random_deploy_model("resnet18", 1, SIDE, overrides=Overrides(tap_strides=(8, 16)))
    made = Quantized("openvino", "int8", source, None, ("first",), 0.9, trials, layers)
    return QuantizationReport(
        "out.xml", made, 100, 0.01,
        PrecisionFigures("float32", 4 * 2**20, evaluation(0.9), Latency(10.0, 9.0, 12.0)),
        PrecisionFigures("int8", 2**20, evaluation(0.893), Latency(4.0, 3.5, 4.5)))


def test_the_report(told):
    lines = told.text().splitlines()
    assert lines[0] == "resnet18 -> out.xml: int8 for openvino, scales from 100 images"
    assert [line.split() for line in lines[1:6]] == [
        ["float32", "int8", "change"], ["MiB", "4.0", "1.0", "x", "0.25"],
        ["mAP,", "7", "images", "0.9000", "0.8930", "-0.0070"],
        ["cell", "0.9000", "0.8930", "-0.0070"],
        ["ms", "an", "image", "10.0", "(9.0", "to", "12.0)", "4.0", "(3.5", "to", "4.5)", "x",
         "0.40"]]
    assert lines[6:] == [
        "no layers kept in float32: mAP 0.8500 on the calibration images (float32 0.9000), "
        "agreement with float32 0.900",
        "1 layer kept in float32: mAP 0.8950 on the calibration images (float32 0.9000), "
        "agreement with float32 0.980",
        "kept in float32: first (75% of the error)"]
    assert not told.missed()
    said = told.to_dict()
    assert said["kept"] == [{"name": "first", "noise": 0.75}]
    assert said["trials"][1] == {"kept": 1, "calibration_map": 0.895, "agreement": 0.98}


def test_the_report_of_what_went_wrong(told):
    slow = QuantizationReport(
        told.out, told.quantized, 100, 0.001, told.before,
        PrecisionFigures("int8", 2**20, evaluation(0.893), Latency(11.0, 10.0, 12.0)))
    assert slow.missed()
    assert slow.text().splitlines()[-1] == ("int8 is not faster than float32 with openvino on this "
                                            "processor: try another backend")


class Counting:
    """A backend that counts what it is asked."""

    def __init__(self):
        self.calls = 0

    def run(self, images):
        self.calls += 1
        return np.zeros((len(images), 1, 6), np.float32)


def test_time_is_measured_in_turns():
    one, other = Counting(), Counting()
    found = measure_latency({"one": one, "other": other}, np.zeros((1, 8, 8, 3), np.uint8), 4)
    assert set(found) == {"one", "other"}
    assert one.calls == other.calls > 4


def test_a_run_of_eight_bits_cannot_be_trained(capsys, run, tiny_shapes, tmp_path):
    command(capsys, "quantize", run, "--data", tiny_shapes, "--backend", "mxnet", "--no-eval",
            *FEW)
    eight = open_run(tmp_path / "run-int8")
    note = json.loads((eight.path / "quantised.json").read_text())["note"]
    assert note == "this run detects and cannot be trained: train the one it was made from"
    assert open_deploy_model(eight.path).classes == open_deploy_model(run).classes
    done = command(capsys, "train", "--data", tiny_shapes, "--resume", "--out", eight.path)
    assert done.status == 2
