"""`ssdreg export`: from a run or an old checkpoint to one file, by one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import onnx
import pytest
from PIL import Image
from ssdreg_runtime import backends
from ssdreg_runtime.system.telemetry import no_telemetry
from support import checkpoints as files
from support.checkpoints import own_symbol
from support.runs import SIDE, command, refused

from ssdreg.deploy.model import open_deploy_model
from ssdreg.deploy.mxnet_backend import MXNetBackend
from ssdreg.exporting.checking import compare_file
from ssdreg.exporting.export import default_file
from ssdreg.exporting.parity import Parity

with no_telemetry():
    import onnxruntime

NAMES = ("circle", "square", "triangle")


def facts(file):
    return {each.key[len("ssdreg_"):]: json.loads(each.value)
            for each in onnx.load(str(file)).metadata_props}


def exported(capsys, *arguments):
    done = command(capsys, "export", *arguments)
    assert done.status == 0, done.err
    return done


def shown(done):
    return dict(line.split(":", 1) for line in done.out.splitlines() if ": " in line)


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy to write into."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of two classes on a network of nobody."""
    return files.write(tmp_path_factory.mktemp("small") / "net", own_symbol("train"), SIDE)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("pictures") / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return file


# What is written

def test_a_run_becomes_one_file_in_its_folder(capsys, run, tiny_shapes):
    before = set(run.iterdir())
    done = exported(capsys, run)
    file = run / "model.onnx"
    assert set(run.iterdir()) - before == {file}
    told = shown(done)
    assert told["written"].strip() == f"{file} ({file.stat().st_size / 1e6:.1f} MB)"
    assert told["network"].strip() == "resnet10_eighth, ssd, opset 17, float32"
    assert told["input"].strip() == "images: 64x64 pixels of RGB, 1 at a time"
    assert told["output"].strip() == ("detection: scores from 0.01 on, the 400 best, suppressed "
                                      "from an IoU of 0.5 on")
    assert told["classes"].strip() == "3 (circle, square, triangle)"
    assert done.complaints == []
    assert facts(file)["classes"] == list(NAMES)
    assert onnx.load(str(file)).opset_import[0].version == 17
    again = exported(capsys, run, "--opset", 18)
    assert shown(again)["replaced"].strip().startswith(str(file))
    assert onnx.load(str(file)).opset_import[0].version == 18


def test_options_are_taken_along(capsys, tiny_run, tmp_path):
    whole, half, raw = (tmp_path / f"{name}.onnx" for name in ("whole", "half", "raw"))
    exported(capsys, tiny_run, "--out", whole, "--batch-size", 3)
    done = exported(capsys, tiny_run, "--out", half, "--precision", "float16", "--dynamic-batch")
    assert "any number at a time" in done.out
    assert half.stat().st_size / whole.stat().st_size == pytest.approx(.5, abs=.02)
    assert [facts(file)["precision"] for file in (whole, half)] == ["float32", "float16"]
    done = exported(capsys, tiny_run, "--out", raw, "--no-nms")
    assert shown(done)["output"].strip() == (
        "scores and boxes of all 372 anchors, without suppression")
    sessions = [onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
                for file in (whole, half, raw)]
    assert [each.get_inputs()[0].shape for each in sessions] == [
        [3, SIDE, SIDE, 3], ["batch", SIDE, SIDE, 3], [1, SIDE, SIDE, 3]]
    assert [output.name for output in sessions[2].get_outputs()] == ["scores", "boxes"]


def test_an_epoch_can_be_chosen(capsys, run):
    shutil.copy(run / "ssd-0001.params", run / "ssd-0002.params")
    exported(capsys, run, "--epoch", 2)
    assert refused(command(capsys, "export", run, "--epoch", 3),
                   "ssd-0003.params is not there: the epochs on disk are 1, 2")


@pytest.mark.parametrize(("given", "default"), [
    ("model.tar.gz", "model.onnx"), ("old.tgz", "old.onnx"), ("ssd_300", "ssd_300.onnx"),
    ("ssd_300-symbol.json", "ssd_300.onnx"), ("ssd-0120.params", "ssd-0120.onnx"),
    ("symbol.json", "symbol.onnx"), ("net.v2", "net.v2.onnx")])
def test_a_checkpoint_is_exported_beside_it(tmp_path, given, default):
    assert default_file(tmp_path / given) == tmp_path / default


@pytest.mark.parametrize("name", ["net", "net-symbol.json", "net-0003.params"])
def test_an_old_checkpoint_needs_one_command(capsys, checkpoint, tmp_path, name):
    file = tmp_path / "old.onnx"
    done = exported(capsys, checkpoint.prefix.with_name(name), "--data-shape", SIDE,
                    "--classes", "a,b", "--out", file)
    assert shown(done)["network"].strip().startswith("unknown, checkpoint, ")
    told = facts(file)
    assert told["classes"] == ["a", "b"]
    assert told["mean"] == [123.0, 117.0, 104.0]


def test_an_archive_of_sagemaker_needs_one_command(capsys, tmp_path, picture):
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 16, 32), 3, "deploy",
                                  extras=())
    files.write(tmp_path / "model_algo_1", symbol, 96)
    (tmp_path / "hyperparams.json").write_text(json.dumps(
        {"base_network": "resnet-18", "num_classes": "3", "image_shape": "96"}))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz", compresslevel=0) as archive:
        for file in [*tmp_path.glob("model_algo_1*"), tmp_path / "hyperparams.json"]:
            archive.add(file, file.name)
    done = exported(capsys, tmp_path / "model.tar.gz", "--check", picture)
    file = tmp_path / "model.onnx"
    assert facts(file)["data_shape"] == [96, 96]
    assert facts(file)["mean"] == [0.0, 0.0, 0.0]
    assert done.out.count(" equal") == len(backends.installed()) == 2


def test_the_historic_mistake_is_a_warning(capsys, tmp_path):
    symbol = files.example_symbol("resnet34", files.taps_of("resnet18", 16, 32), 2, "deploy",
                                  extras=())
    files.write(tmp_path / "net", symbol, 64)
    done = exported(capsys, tmp_path / "net", "--data-shape", 64)
    assert len(done.complaints) == 1
    assert done.complaints[0].startswith("ssdreg: warning: ")
    assert "not the ends of the backbone's stages" in done.err
    assert (tmp_path / "net.onnx").is_file()


# --check

def test_what_it_finds_is_compared_with_mxnet(capsys, tiny_run, tiny_shapes, tmp_path):
    pictures = sorted((tiny_shapes / "JPEGImages").iterdir())[:3]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for each in pictures:
        shutil.copy(each, folder)
    done = exported(capsys, tiny_run, "--out", tmp_path / "model.onnx", "--check", folder)
    assert "compared with MXNet on 3 images:" in done.out
    table = done.out.splitlines()[-2:]
    assert [line.split()[0] for line in table] == list(backends.installed())
    for line in table:
        _, boxes, score, coordinate, _, verdict = line.split()
        assert int(boxes.replace(",", "")) > 30
        assert max(float(score), float(coordinate)) < 1e-4
        assert verdict == "equal"
    half = exported(capsys, tiny_run, "--out", tmp_path / "half.onnx", "--precision", "float16",
                    "--check", *pictures[:1])
    assert "compared with MXNet on 1 image:" in half.out


def test_a_difference_is_status_1_and_told(capsys, tiny_run, tmp_path, picture, monkeypatch):
    """The source with other parameters, as a mistake in the exporter would make it."""
    source = open_deploy_model(tiny_run)
    source.params.args["stage1_unit1_conv1_weight"][:] *= 1.5
    from ssdreg.exporting import write_onnx
    monkeypatch.setattr("ssdreg.exporting.write_onnx", lambda _, *rest: write_onnx(source, *rest))
    done = command(capsys, "export", tiny_run, "--out", tmp_path / "model.onnx", "--check", picture)
    assert done.status == 1
    assert " DIFFERENT" in done.out
    assert "openvino: image 0: class " in done.out
    assert (tmp_path / "model.onnx").is_file()


def test_groups_that_are_not_full_are_compared_too(tiny_run, tmp_path, capsys):
    exported(capsys, tiny_run, "--out", tmp_path / "model.onnx", "--batch-size", 2)
    source = open_deploy_model(tiny_run)
    images = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    found = compare_file(source, tmp_path / "model.onnx", images, 1, ["onnxruntime"])
    single = sum((compare_file(source, tmp_path / "model.onnx", images[i:i + 1], 1,
                               ["onnxruntime"])["onnxruntime"] for i in range(3)), Parity())
    assert found["onnxruntime"].equal
    assert found["onnxruntime"].boxes == single.boxes > 0
    assert compare_file(source, tmp_path / "model.onnx", images, 1, []) == {}
    assert MXNetBackend(source, 2).run(images).shape[0] == 3


# What is refused

@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--opset", 16], "opset 16 cannot be written"),
    (["--opset", 99], "the installed onnx knows those up to"),
    (["--batch-size", 0], "a batch of 0 images holds nothing"),
    (["--out", "model.pb"], "model.pb does not end in .onnx"),
    (["--classes", "a,b,c"], "these are given for checkpoints only"),
    (["--no-nms", "--check", "x.jpg"], "--check compares detections"),
    (["--check", "nowhere.jpg"], "nowhere.jpg is not there"),
    (["--std", "1,1,1"], "--std goes with --mean"),
    (["--epoch", 9], "ssd-0009.params is not there")])
def test_a_bad_argument_is_one_sentence_and_leaves_nothing(capsys, run, arguments, sentence):
    before = set(run.iterdir())
    assert refused(command(capsys, "export", run, *arguments), sentence)
    assert set(run.iterdir()) == before


def test_batch_and_dynamic_batch_exclude_each_other(capsys, tiny_run):
    done = command(capsys, "export", tiny_run, "--batch-size", 2, "--dynamic-batch")
    assert done.status == 2
    assert "not allowed with argument" in done.err


def test_what_is_no_detector_is_one_sentence(capsys, tmp_path, tiny_run, checkpoint):
    foreign = tmp_path / "foreign.tar.gz"
    foreign.write_bytes(b"this is no archive")
    cut = shutil.copytree(tiny_run, tmp_path / "cut")
    whole = (cut / "ssd-0001.params").read_bytes()
    (cut / "ssd-0001.params").write_bytes(whole[:len(whole) // 2])
    alone = tmp_path / "alone-symbol.json"
    shutil.copy(checkpoint.prefix.with_name("net-symbol.json"), alone)
    for path, arguments, sentence in (
            (tmp_path / "nothing", [], "nothing"), (foreign, [], "foreign.tar.gz"),
            (cut, [], "ssd-0001.params is damaged: its bytes are not those that were written"),
            (alone, ["--data-shape", SIDE], "is a symbol without parameters"),
            (checkpoint.prefix, [], "give it with --data-shape")):
        assert refused(command(capsys, "export", path, *arguments), sentence)
    assert not list(tmp_path.rglob("*.onnx"))
    assert not list(tmp_path.rglob(".*"))


def test_an_operator_without_translation_is_named(capsys, run):
    file = run / "deploy-symbol.json"
    symbol = json.loads(file.read_text())
    node = next(each for each in symbol["nodes"] if each["op"] == "Activation")
    node.update(op="gammaln", attrs={})
    file.write_text(json.dumps(symbol))
    assert refused(command(capsys, "export", run), f"gammaln at node {node['name']!r} cannot be "
                                                   f"written as ONNX")
    assert not (run / "model.onnx").exists()


def test_a_file_that_may_be_replaced_is_known_by_its_metadata_alone(capsys, run, monkeypatch):
    """The file that is there may be as large as memory is."""
    assert command(capsys, "export", run).status == 0
    monkeypatch.setattr(onnx, "load", lambda *arguments, **settings: pytest.fail("loaded whole"))
    done = command(capsys, "export", run)
    assert (done.status, done.out.startswith("replaced")) == (0, True)


def test_a_file_of_somebody_else_is_not_replaced(capsys, run):
    file = run / "model.onnx"
    for content in (b"notes, not a network", onnx.ModelProto(ir_version=8).SerializeToString()):
        file.write_bytes(content)
        assert refused(command(capsys, "export", run), "was not written by ssdreg: move it away")
        assert file.read_bytes() == content
    file.unlink()
    file.mkdir()
    assert refused(command(capsys, "export", run), "model.onnx is a folder")


def test_a_place_that_cannot_be_written_is_one_sentence(capsys, tiny_run, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = command(capsys, "export", tiny_run, "--out", tmp_path / "file" / "model.onnx")
    assert refused(done, str(tmp_path / "file"))


def test_without_onnx_there_is_one_sentence(tiny_run, tmp_path):
    """In a process of its own, in which no package is called onnx."""
    code = ("import sys; sys.modules['onnx'] = None; from ssdreg.cli.main import main; "
            "sys.exit(main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "export", str(tiny_run), "--out",
                           str(tmp_path / "model.onnx")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ssdreg: writing ONNX needs the package onnx")
    assert len(done.stderr.splitlines()) == 1


def test_a_format_without_what_writes_it_says_what_to_install(run):
    done = subprocess.run(
        [sys.executable, "-m", "ssdreg", "--no-plugins", "export", str(run), "--format", "torch"],
        capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.startswith("ssdreg: --format torch is written by the plug-in ssdreg-torch")
    assert done.stderr.endswith("run `pip install ssdreg-torch`\n")
    assert not (run / "torch").exists()


def test_a_format_that_nothing_writes_is_refused(capsys, run):
    assert refused(command(capsys, "export", run, "--format", "pickle"),
                   "there is no format 'pickle' to export to: choose one of onnx")
