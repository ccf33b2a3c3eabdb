"""`ssdreg eval` on a real run: its numbers, its data, what it refuses."""

from __future__ import annotations

import json
import math
import shutil

import attrs
import pytest
from support.runs import SIDE, SMALL, TRAIN_IMAGES, VALIDATION_IMAGES, command, refused

from ssdreg.cli.main import main
from ssdreg.data import load, open_eval, read_voc, splits
from ssdreg.data.packing import pack
from ssdreg.deploy.executor import open_inference
from ssdreg.metrics.coco import FIGURES
from ssdreg.metrics.tide import KINDS
from ssdreg.metrics.voc import evaluate
from ssdreg.runs.run import open_run


def by_hand(run_folder, packed):
    """Detect image by image and measure what was found."""
    run = open_run(run_folder)
    inference = open_inference(run)
    batches = open_eval(packed, (SIDE, SIDE), 1, run.plan.preprocessing)
    detections, truths = [], []
    for batch in batches:
        detections.append(inference.detect(batch.data[0])[0])
        truths.append(batch.label[0].asnumpy()[0])
    batches.close()
    return evaluate(detections, truths, run.classes)


def test_the_numbers_are_those_of_the_metric(capsys, tiny_run, tiny_shapes):
    wanted = by_hand(tiny_run, load(tiny_shapes, "val"))
    done = command(capsys, "eval", tiny_run, "--json", "--backend", "mxnet")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["model"], found["epoch"]) == (str(tiny_run), 1)
    assert found["images"] == VALIDATION_IMAGES
    assert found["map"] == pytest.approx(wanted.map, abs=1e-6)
    assert found["map_07"] == pytest.approx(wanted.map_07, abs=1e-6)
    assert [(each["name"], each["objects"]) for each in found["classes"]] == [
        (each.name, each.objects) for each in wanted.classes]
    assert sum(each.detections for each in wanted.classes) > 0
    # and those that training logged
    assert found["map"] == pytest.approx(open_run(tiny_run).log()[0].map, abs=1e-6)


def test_the_table(capsys, tiny_run, tiny_shapes):
    done = command(capsys, "eval", tiny_run)
    lines = done.out.splitlines()
    assert (done.status, done.err) == (0, "")
    assert lines[0] == (f"{tiny_run}, epoch 1, openvino in float32, {VALIDATION_IMAGES} images of "
                        f"{tiny_shapes}, split val")
    assert [line.split()[0] for line in lines[1:6]] == [
        "class", "circle", "square", "triangle", "mean"]
    assert lines[6] == ""
    # the further measures stand behind it, each under a line that says what it is
    heads = [block.splitlines()[0] for block in "\n".join(lines[7:]).split("\n\n")]
    assert [head.split(",")[0].split(" at ")[0] for head in heads] == [
        "COCO", "the threshold with the best F1", "confusion", "errors by kind"]


def test_json_has_the_further_measures(capsys, tiny_run):
    found = json.loads(command(capsys, "eval", tiny_run, "--json", "--backend", "mxnet").out)
    assert tuple(found["coco"]) == FIGURES
    assert found["coco"]["ap50"] == pytest.approx(found["map"], abs=0.05)
    assert [each["name"] for each in found["best_f1"]["classes"]] == [
        each["name"] for each in found["classes"]]
    assert len(found["confusion"]["matrix"]) == 4
    assert [kind["name"] for kind in found["errors"]["kinds"]] == list(KINDS)
    # training logged the same figures
    logged, = open_run(tiny_run).log()
    assert attrs.asdict(logged.coco) == pytest.approx(
        {name: math.nan if value is None else value for name, value in found["coco"].items()},
        abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_report(capsys, tmp_path, tiny_run, form):
    out = tmp_path / "new" / "report.html"
    done = command(capsys, "eval", tiny_run, "--report", out, *form)
    assert (done.status, done.err) == (0, "")
    text = out.read_text(encoding="utf-8")
    for setting in (SMALL.name, "64x64", "circle, square, triangle", "training: epochs"):
        assert setting in text
    assert text.count("data:image/jpeg;base64,") == 2 * VALIDATION_IMAGES
    if form:
        assert json.loads(done.out)["report"] == str(out)
    else:
        assert done.out.endswith(f"\n\nwritten: {out}, the report\n")


def test_a_report_of_an_exported_file_knows_no_training(capsys, tmp_path, tiny_shapes, exported):
    out = tmp_path / "report.html"
    assert command(capsys, "eval", exported, "--data", tiny_shapes, "--report", out).status == 0
    assert "training:" not in out.read_text(encoding="utf-8")


def test_a_report_that_is_no_page_is_refused_before_anything_is_measured(capsys, tmp_path):
    assert refused(command(capsys, "eval", tmp_path / "no run", "--report", "report.pdf"),
                   "no report can be written to report.pdf: its name must end in .html")


@pytest.mark.parametrize(("split", "images"), [
    (None, VALIDATION_IMAGES), ("train", TRAIN_IMAGES), ("val", VALIDATION_IMAGES),
    ("all", TRAIN_IMAGES + VALIDATION_IMAGES)])
def test_other_data(capsys, tiny_run, tiny_shapes, split, images):
    chosen = ("--split", split) if split else ()
    done = command(capsys, "eval", tiny_run, "--data", tiny_shapes, *chosen, "--json")
    found = json.loads(done.out)
    assert (found["images"], found["data"]) == (images, f"{tiny_shapes}, split {split or 'val'}")


def test_no_picture_is_measured_that_was_learnt_unless_all_are_asked_for(capsys, tmp_path,
                                                                          tiny_run, tiny_shapes):
    folder = tmp_path / "without splits"
    shutil.copytree(tiny_shapes, folder)
    shutil.rmtree(folder / "ImageSets")
    learnt, held = (each.images for each in splits.open_data(splits.choose(folder)))
    found = json.loads(command(capsys, "eval", tiny_run, "--data", folder, "--json").out)
    assert found["images"] == held
    assert "split held-out (a tenth of the images, by name, which training leaves" in found["data"]
    found = json.loads(command(capsys, "eval", tiny_run, "--data", folder, "--split", "all",
                               "--json").out)
    assert (found["images"], found["data"]) == (held + learnt, f"{folder}, split all")


# What is deployed

@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "shapes.onnx"
    assert main(["export", str(tiny_run), "--out", str(file)]) == 0
    return file


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "openvino"])
def test_an_exported_file_measures_as_its_run(capsys, tiny_run, tiny_shapes, exported, backend):
    wanted = json.loads(command(capsys, "eval", tiny_run, "--json").out)
    for model in (exported, tiny_run):
        found = json.loads(command(capsys, "eval", model, "--data", tiny_shapes, "--backend",
                                   backend, "--json").out)
        assert found["map"] == pytest.approx(wanted["map"], abs=1e-4)
        ran = "openvino" if backend == "auto" else backend
        assert (found["images"], found["backend"]) == (wanted["images"], ran)


def test_openvinos_files_and_other_precisions(capsys, tmp_path, tiny_run, tiny_shapes):
    eight = tmp_path / "shapes.xml"
    assert command(capsys, "quantize", tiny_run, "--data", tiny_shapes, "--backend", "openvino",
                   "--calibration-images", 4, "--no-eval", "--out", eight).status == 0
    done = command(capsys, "eval", eight, "--data", tiny_shapes, "--split", "val")
    assert (done.status, done.complaints) == (0, [])
    assert done.out.startswith(f"{eight}, openvino in int8, {VALIDATION_IMAGES} images of "
                               f"{tiny_shapes}, split val")
    assert refused(command(capsys, "eval", eight, "--data", tiny_shapes, "--precision", "float32"),
                   "float32")


def test_an_exported_file_has_no_data_of_its_own(capsys, exported):
    assert refused(command(capsys, "eval", exported),
                   f"{exported} is no run, and has no data of its own: give --data")
    assert refused(command(capsys, "eval", exported, "--data", "nowhere", "--backend", "mxnet"),
                   "was exported, and mxnet cannot run it")


def test_a_class_without_objects_has_no_precision(capsys, tmp_path, tiny_run, tiny_shapes):
    folder = tmp_path / "circles"
    shutil.copytree(tiny_shapes, folder)
    for file in (folder / "Annotations").iterdir():
        text = file.read_text()
        file.write_text(text.replace("square", "circle").replace("triangle", "circle"))
    found = json.loads(command(capsys, "eval", tiny_run, "--data", folder, "--json").out)
    by_class = {each["name"]: each["ap"] for each in found["classes"]}
    assert by_class["square"] is None
    assert by_class["triangle"] is None
    assert found["map"] == by_class["circle"]
    assert command(capsys, "eval", tiny_run, "--data", folder).out.splitlines()[3].split() == [
        "square", "0", str(found["classes"][1]["detections"]), "-", "-"]


def test_the_run_finds_its_data_from_any_folder(capsys, tmp_path, tiny_run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(capsys, "eval", tiny_run).status == 0


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--epoch", 9], "ssd-0009.params is not there: the epochs on disk are 1"),
    (["--split", "val"], "--split names a split of --data: give --data too"),
    (["--device", "gpu:99"], "the engine mxnet cannot compute on cuda:99: it sees"),
    (["--data", "nowhere"], "nowhere: there is no such folder"),
])
def test_what_is_refused(capsys, tiny_run, arguments, sentence):
    assert refused(command(capsys, "eval", tiny_run, *arguments), sentence)


def test_records_with_other_classes_are_refused(capsys, tmp_path, tiny_run, tiny_shapes):
    turned = pack(read_voc(tiny_shapes, "val", ("square", "circle", "triangle")), cache=tmp_path)
    done = command(capsys, "eval", tiny_run, "--data", turned.rec)
    assert refused(done, "its classes are square, circle, triangle, not circle, square, triangle")


def test_annotations_left_out_are_named(capsys, tmp_path, tiny_run, tiny_shapes):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_shapes, folder)
    (folder / "Annotations" / "000000.xml").write_text("<annotation>")
    done = command(capsys, "eval", tiny_run, "--data", folder, "--split", "all", "--json")
    assert done.status == 0
    assert "000000.xml: unreadable annotation" in done.err
    assert json.loads(done.out)["images"] == TRAIN_IMAGES + VALIDATION_IMAGES - 1
