"""`ssdreg import`: from a checkpoint on disk to a run that every other command uses."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
from support import checkpoints as files
from support import gluon_ssd as gluons
from support.checkpoints import own_symbol
from support.gluon_ssd import MOBILENET, network
from support.runs import SIDE, command, refused

import ssdreg
from ssdreg.runs.run import open_run

NAMES = ("circle", "square", "triangle")


def imported(capsys, *arguments):
    done = command(capsys, "import", *arguments)
    assert done.status == 0, done.err
    assert done.complaints == []
    return done.out


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A checkpoint of two classes on a network of nobody."""
    return files.write(tmp_path_factory.mktemp("small") / "net", own_symbol("train"), SIDE).prefix


def test_what_was_found_is_shown(capsys, small):
    out = imported(capsys, small, "--data-shape", SIDE)
    shown = dict(line.split(":", 1) for line in out.splitlines())
    assert shown["found"].strip() == "a training symbol of MXNet's SSD example"
    assert shown["backbone"].strip() == "unknown"
    assert shown["classes"].strip() == "2 (without names)"
    assert shown["input"].strip() == "64x64"
    assert shown["levels"].strip() == "pw3_relu 16x16, pw4_relu 8x8, made 4x4"
    assert shown["  sizes"].strip() == "0.2, 0.3 / 0.4, 0.5 / 0.6, 0.7"
    assert shown["  steps"].strip() == "one cell"
    assert shown["normalisation"].strip() == "mean 123, 117, 104, std 1, 1, 1"


def test_a_run_of_this_program_comes_back_as_it_was(capsys, tmp_path, resnet18_run, tiny_shapes):
    """Its checkpoints are the example's: the same detector must score the same."""
    out = imported(capsys, resnet18_run / "ssd", "--data-shape", SIDE, "--classes", ",".join(NAMES),
                   "--out", tmp_path / "run")
    assert "resnet18" in out
    assert f"classes:        3 ({', '.join(NAMES)})" in out
    original, run = open_run(resnet18_run), open_run(tmp_path / "run")
    # the loss that it was trained by is not read: going on takes the example's
    assert run.plan == attrs.evolve(original.plan, box_loss="smooth_l1")
    assert run.classes == NAMES
    assert run.epochs() == (1,)
    scores = [json.loads(command(capsys, "eval", folder, "--data", tiny_shapes, "--split", "val",
                                 "--json").out) for folder in (resnet18_run, tmp_path / "run")]
    assert scores[0]["map"] == scores[1]["map"]
    assert refused(command(capsys, "eval", tmp_path / "run"),
                   f"{tmp_path / 'run'} was imported, not trained here, and has no data of its own")
    assert refused(command(capsys, "train", "--resume", "--out", tmp_path / "run"),
                   "nothing was saved yet, or it was imported")


def test_predict_and_training_go_on_with_it(capsys, tmp_path, tiny_run, tiny_shapes):
    imported(capsys, tiny_run / "ssd-0001.params", "--data-shape", SIDE,
             "--classes", ",".join(NAMES), "--out", tmp_path / "run")
    image = sorted((tiny_shapes / "JPEGImages").iterdir())[0]
    done = command(capsys, "predict", tmp_path / "run", image, "--json", "--threshold", "0")
    assert done.status == 0
    assert {each["class"] for each in json.loads(done.out)[0]["objects"]} <= set(NAMES)
    done = command(capsys, "train", "--pretrained", tmp_path / "run", "--data", tiny_shapes,
                   "--out", tmp_path / "more", "--epochs", 1, "--batch-size", 8)
    assert done.status == 0, done.err
    assert "not in it" not in done.out
    before, after = (open_run(tmp_path / name).load_params().args for name in ("run", "more"))
    assert set(before) == set(after)
    assert any(np.abs((before[name] - after[name]).asnumpy()).max() > 0 for name in before)


def test_a_network_of_gluoncv_trains_on(capsys, tmp_path, tiny_shapes):
    name, taps = MOBILENET
    original = network(gluons.expanded(name, taps, (16, 24)), SIDE, (16, 32, 64, 64))
    original.save_parameters(str(tmp_path / "ssd.params"))
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(NAMES) + "\n")
    imported(capsys, tmp_path / "ssd.params", "--classes", classes, "--out", tmp_path / "run")
    assert open_run(tmp_path / "run").classes == NAMES
    done = command(capsys, "train", "--pretrained", tmp_path / "run", "--data", tiny_shapes,
                   "--out", tmp_path / "more", "--epochs", 1, "--batch-size", 8)
    assert done.status == 0, done.err
    assert open_run(tmp_path / "more").plan == open_run(tmp_path / "run").plan


def test_the_historic_mistake_is_a_warning(capsys, tmp_path):
    symbol = files.example_symbol("resnet101", files.taps_of("resnet50", 16, 32), 2, "deploy")
    symbol.save(str(tmp_path / "net-symbol.json"))
    done = command(capsys, "import", tmp_path / "net-symbol.json", "--data-shape", 128)
    assert done.status == 0
    assert len(done.complaints) == 1
    assert "not the ends of the backbone's stages" in done.err
    assert "28.0% of the backbone's weights" in done.err
    for tap in files.taps_of("resnet101", 16, 32):
        assert repr(tap) in done.err
    assert "NOT the ends" in done.out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--data-shape", 64, "--classes", "a,b,c"], "tells 2 classes apart"),
    (["--data-shape", 64, "--classes", "a,"], "neither a list of class names"),
    (["--data-shape", 64, "--epoch", 9], "no parameters of epoch 9: on disk are 3"),
    (["--data-shape", 64, "--std", "1,1,1"], "--std goes with --mean"),
    (["--data-shape", 64, "--mean", "1,2,-3"], "mean has three values of at least 0"),
    ([], "give it with --data-shape"),
])
def test_a_bad_argument_is_one_sentence_and_leaves_nothing(capsys, small, tmp_path, arguments,
                                                           sentence):
    done = command(capsys, "import", small, "--out", tmp_path / "run", *arguments)
    assert refused(done, sentence)
    assert not list(tmp_path.iterdir())


def test_three_numbers_are_three(capsys, small):
    done = command(capsys, "import", small, "--mean", "1,2")
    assert done.status == 2
    assert "no three numbers" in done.err


def test_the_normalisation_is_taken_along(capsys, small, tmp_path):
    imported(capsys, small, "--data-shape", 64, "--mean", "1,2,3", "--std", "4,5,6",
             "--out", tmp_path / "run")
    assert open_run(tmp_path / "run").plan.preprocessing == ssdreg.Preprocessing(
        (1, 2, 3), (4, 5, 6))


def test_a_folder_with_a_run_is_left_alone(capsys, small, tiny_run):
    before = sorted(tiny_run.iterdir())
    assert refused(command(capsys, "import", small, "--data-shape", 64, "--out", tiny_run),
                   "already holds a run")
    assert sorted(tiny_run.iterdir()) == before
