"""Runs whose files are damaged: what is whole is found, and said; nothing is taken in silence."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from support.runs import command

import ssdreg
from ssdreg.errors import RunError
from ssdreg.mx import mx
from ssdreg.runs.checksums import FILE as CHECKSUMS
from ssdreg.runs.checksums import note
from ssdreg.runs.params import Params, read_params, write_params
from ssdreg.runs.run import open_run
from ssdreg.training import state


@pytest.fixture
def run(three_epochs, tmp_path):
    return open_run(shutil.copytree(three_epochs, tmp_path / "run"))


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "empty": lambda file: file.write_bytes(b""),
    "flipped": flip,
    "renamed": lambda file: file.rename(file.with_name("other" + file.suffix)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_newest_whole_epoch_is_taken_aloud(run, damage):
    damage(run.params_file(3))
    told = []
    saved = state.load(run, told.append)
    assert "ssd-0003.params is damaged: " in str(told[0])
    assert ("going back to epoch 2, whose parameters are whole; its optimizer begins anew"
            in str(told[0]))
    assert (saved.state.epoch, saved.state.updates, saved.state.optimizer_began) == (2, 4, 4)
    assert saved.optimizer == {}


def test_training_goes_on_from_the_newest_whole_epoch(run):
    flip(run.params_file(3))
    told = []
    result = ssdreg.resume(run.path, progress=told.append)
    assert "going back to epoch 2" in str(told[0])
    assert [line.epoch for line in result.epochs] == [1, 2, 3]
    assert [line.steps for line in result.epochs] == [2, 4, 6]
    assert list(run.whole_epochs()) == [3, 2, 1]


def test_without_its_optimizer_the_epoch_itself_is_whole(run):
    (run.path / "ssd-0003.states").unlink()
    flip(run.params_file(1))
    told = []
    saved = state.load(run, told.append)
    assert "ssd-0003.states is damaged: it is not there: going back to epoch 3" in str(told[0])
    assert (saved.state.epoch, saved.state.updates, saved.state.optimizer_began) == (3, 6, 6)
    # its own state is saved from there on, and counts from there
    ssdreg.resume(run.path, epochs=4)
    saved = state.load(run)
    assert (saved.state.updates, saved.state.optimizer_began) == (8, 6)
    assert saved.optimizer


def test_where_nothing_is_whole_it_says_what_to_do(run):
    for file in run.path.glob("ssd-*.params"):
        flip(file)
    with pytest.raises(RunError, match="there is no whole epoch to go back to: start another run"):
        state.load(run)
    with pytest.raises(RunError, match="no epoch of the run is whole"):
        run.load_params()


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_predict_and_eval_name_the_epoch_that_is_whole(capsys, run, tiny_shapes, damage, tmp_path):
    DAMAGES[damage](run.params_file(run.best_epoch()))
    picture = tiny_shapes / "JPEGImages" / "000000.jpg"
    for words in (("predict", run.path, picture, "--out", tmp_path / "drawn"), ("eval", run.path)):
        refused = command(capsys, *words)
        assert refused.status == 2
        whole = next(epoch for epoch in run.whole_epochs()
                     if f"the same command with --epoch {epoch} takes it" in refused.err)
    assert command(capsys, *words[:-1], run.path, "--epoch", whole).status == 0


def test_sha256sum_reads_the_checksums(three_epochs):
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here to read them")
    done = subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=three_epochs,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name}: OK" for name in (
        "ssd-0001.params", "ssd-0002.params", "ssd-0003.params", "ssd-0003.states")]


def test_a_damaged_list_of_checksums_is_said_and_mended_by_training(run):
    with (run.path / CHECKSUMS).open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RunError, match="SHA256SUMS is damaged: line 5 is no checksum; `ssdreg doc"):
        run.load_params()
    ssdreg.resume(run.path, epochs=4)
    assert open_run(run.path).load_params(4)


def test_an_empty_log_stops_nothing(capsys, run, tiny_shapes, tmp_path):
    picture = tiny_shapes / "JPEGImages" / "000000.jpg"
    header = run.log_file.read_text().splitlines()[0] + "\n"
    for content in ("", header, "\n\n"):
        run.log_file.write_text(content)
        assert run.best_epoch() == 3
        done = command(capsys, "train", "--resume", "--out", run.path)
        assert done.status == 0, done.err
    for words in (("predict", run.path, picture, "--out", tmp_path / "drawn"), ("eval", run.path)):
        done = command(capsys, *words)
        assert done.status == 0, done.err
    told = []
    run.log_file.write_text("")
    assert [line.epoch for line in ssdreg.resume(run.path, epochs=4,
                                                 progress=told.append).epochs] == [4]
    assert any("log.csv has no line of the 3 epochs so far" in str(event) for event in told)


# What cannot be, written by hand

@pytest.mark.parametrize("which", ["params", "states"])
def test_a_parameter_that_is_no_number(run, which):
    """Also where the checksum says that it was written so."""
    file = run.path / f"ssd-0003.{which}"
    arrays = mx.nd.load(str(file))
    first = sorted(arrays)[0]
    arrays[first] = mx.nd.full(arrays[first].shape, math.nan)
    mx.nd.save(str(file), arrays)
    note(run.path, file.name)
    stated = json.loads((run.path / "state.json").read_text())
    stated[{"params": "params", "states": "optimizer"}[which]]["sha256"] = next(
        line.split()[0] for line in (run.path / CHECKSUMS).read_text().splitlines()
        if line.endswith(file.name))
    (run.path / "state.json").write_text(json.dumps(stated))
    with pytest.raises(RunError, match=rf"'{first}' in .*ssd-0003\.{which} is not a number everyw"):
        ssdreg.resume(run.path, epochs=4)


CHANGES = {
    "step": ({"step": 999}, "6 steps in all cannot be those of 3 epochs and 999 steps"),
    "step within": ({"step": 3}, "stands after step 3 of an epoch, which has 2 with these data"),
    "epoch": ({"epoch": -3}, "state: 'epoch' must be >= 0: -3"),
    "no epoch": ({"epoch": 0}, "6 steps in all cannot be those of 0 epochs and 0 steps"),
    "true": ({"epoch": True}, "state.epoch: True is no whole number"),
    "text": ({"updates": "6"}, "state.updates: '6' is no whole number"),
    "part": ({"step": 0.5}, "state.step: 0.5 is no whole number"),
    "nothing": ({"step": None}, "state.step: None is no whole number"),
    "infinite": ({"seconds": math.inf}, "state.seconds: inf is no number"),
    "NaN": ({"seconds": math.nan}, "state.seconds: nan is no number"),
    "large": ({"seconds": 10**400}, "state.seconds: "),
    "sums": ({"sums": [1, 2]}, "state.sums: [1, 2] is no JSON object"),
    "unknown": ({"color": 1}, "'color' is not known"),
    "later": ({"optimizer_began": 7}, "an optimizer cannot begin after 7 of 6 steps"),
}


@pytest.mark.parametrize(("changes", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_state_that_cannot_be(run, changes, sentence):
    stated = json.loads((run.path / "state.json").read_text())
    stated["state"].update(changes)
    (run.path / "state.json").write_text(json.dumps(stated))
    with pytest.raises(RunError) as refused:
        ssdreg.resume(run.path, epochs=9)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"data_shape": [128, 64]}, "it was trained at 128x64, and config.json says 64x64"),
    ({"data_shape": "64"}, "data_shape"), ({"engine": 5}, "engine: 5 is no text"),
    ({"options": None}, "options: None is no JSON object"),
    ({"options": {"lr": "fast"}}, "options.lr: 'fast' is no number"),
    ({"options": {"freeze": "("}}, "options: missing ), unterminated subpattern"),
    ({"options": {"colour": 1}}, "options: 'colour' is not known"),
    ({"options": {"lr_steps": [1, "2"]}}, "options.lr_steps[1]: '2' is no whole number"),
    ({"data": {"train": ["a"]}}, "data.train: ['a'] is no text"),
    ({"data": {}}, "data.train: 'train' is missing"),
    ({"data": "a"}, "data: 'a' is no JSON object"),
    ({"augmentation": {"pad_scale": "wide"}}, "augmentation.pad_scale: 'wide' is no number"),
    ({"augmentation": 3}, "augmentation: 3 is no JSON object"),
    ({"params": "ssd-0003.params"}, "params: 'ssd-0003.params' is no JSON object"),
    ({"params": {"name": "../ssd-0003.params", "sha256": "0" * 64}}, "is no name of a file of a"),
    ({"params": {"name": "ssd-0003.params", "sha256": "0"}}, "params: 'sha256' must match"),
    ({"state": []}, "state: [] is no JSON object"), ({"params": None}, "params: None is no JSON"),
])
def test_a_state_of_other_kinds(run, changes, sentence):
    stated = json.loads((run.path / "state.json").read_text())
    (run.path / "state.json").write_text(json.dumps({**stated, **changes}))
    with pytest.raises(ssdreg.SsdregError) as refused:
        ssdreg.resume(run.path, epochs=9)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"state"', "{}", "[" * 100_000,
                                     '{"state": ' * 1000, "\xff\xfe", '{"state": 1e999}',
                                     "1" * 5000])
def test_a_state_that_is_none(run, content):
    (run.path / "state.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"state\.json is not what `ssdreg train` wrote: "):
        ssdreg.resume(run.path, epochs=9)


def test_every_key_is_needed(run):
    stated = json.loads((run.path / "state.json").read_text())
    for name in stated:
        (run.path / "state.json").write_text(json.dumps(
            {key: value for key, value in stated.items() if key != name}))
        with pytest.raises(RunError, match=f"'{name}' is missing"):
            state.load(run)


def test_parameters_of_another_network(run):
    """With their checksums: as if another run's files had been put there."""
    params = read_params(run.params_file(2))
    assert np.ndim(params.args["conv0_weight"].asnumpy()) == 4
    lacking = Params({name: array for name, array in params.args.items()
                      if name != "conv0_weight"}, params.auxs)
    write_params(run.params_file(2), lacking)
    note(run.path, "ssd-0002.params")
    flip(run.params_file(3))
    with pytest.raises(RunError, match="cannot go on: 'conv0_weight' is missing in what was saved"):
        ssdreg.resume(run.path)


def test_the_options_of_another_optimizer(run):
    """Its state has no second slot."""
    saved = state.load(run)
    path = run.path / "state.json"
    stated = json.loads(path.read_text())
    arrays = {name: array for name, array in saved.optimizer.items() if name.endswith(".0")}
    mx.nd.save(str(run.path / "ssd-0003.states"), arrays)
    note(run.path, "ssd-0003.states")
    stated["optimizer"]["sha256"] = next(
        line.split()[0] for line in (run.path / CHECKSUMS).read_text().splitlines()
        if line.endswith(".states"))
    path.write_text(json.dumps(stated))
    assert saved.options.optimizer == "adam"
    with pytest.raises(RunError, match=r"the saved state of the optimizer lacks '.*\.1', which ad"):
        ssdreg.resume(run.path, epochs=4)
