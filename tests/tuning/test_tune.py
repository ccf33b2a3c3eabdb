"""Tuning on real images, small ones: the range test, trials in a budget, stopping, going on."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import signal
import sys
import time

import attrs
import pytest
from PIL import Image
from support.runs import SIDE, SMALL, command, refused, with_small

import ssdreg
from ssdreg.cli.main import parser
from ssdreg.errors import Interrupted, RunError
from ssdreg.metrics.coco import FIGURES, CocoFigures
from ssdreg.runs.log import Epoch
from ssdreg.tuning import range_test, tune
from ssdreg.tuning.budget import Budget
from ssdreg.tuning.curve import read_curve
from ssdreg.tuning.prepared import Parts, prepare
from ssdreg.tuning.record import read_record, write_record
from ssdreg.tuning.result import train_command
from ssdreg.tuning.study import Study, quiet
from ssdreg.tuning.trial import Trained, train_trial

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

#: A curve of the least steps takes the least time.
TASK = {"backbone": SMALL, "data_shape": SIDE, "epochs": 2, "engine": "mxnet"}


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Know the small network by its name, by which a tuning that goes on finds it."""
    with with_small():
        yield


def patched_steps(patch):
    patch.setattr(range_test, "FEWEST", 15)
    patch.setattr(range_test, "MOST", 15)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    patched_steps(monkeypatch)


def after(trials):
    """Return a progress that presses Ctrl-C in the first epoch after so many trials."""
    def told(event):
        told.begun += str(event).startswith("trial ") and ": lr " in str(event)
        if isinstance(event, ssdreg.Step) and told.begun > trials:
            signal.raise_signal(signal.SIGINT)
    told.begun = 0
    return told


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, tiny_shapes):
    """A tuning that Ctrl-C stopped in its second trial, for reading and copying only."""
    folder = tmp_path_factory.mktemp("tuning") / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patched_steps(patch)
        with pytest.raises(Interrupted):
            ssdreg.tune(data=tiny_shapes, out=folder, budget=5, progress=after(1), **TASK)
    return folder


def rows(folder):
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_ctrl_c_leaves_what_was_done(stopped):
    assert sorted(path.name for path in stopped.iterdir()) == [
        "lr_range.csv", "trials.csv", "trials.log", "tune.json", "tune.png"]
    assert [row["outcome"] for row in rows(stopped)] == ["finished", "interrupted"]
    record = read_record(stopped)
    assert 0 < record.spent < 300 == record.budget


def test_ctrl_c_in_the_range_test_leaves_a_tuning_to_go_on_with(tiny_shapes, tmp_path):
    def told(event):
        if getattr(event, "what", "") == "range test" and not event.ended:
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        ssdreg.tune(data=tiny_shapes, out=tmp_path, progress=told, **TASK)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "trials.csv", "trials.log", "tune.json"]
    assert rows(tmp_path) == []
    assert read_record(tmp_path).spent > 0


def test_going_on_tries_what_was_interrupted_and_keeps_the_budget(stopped, tmp_path, silence):
    folder = shutil.copytree(stopped, tmp_path / "tuning")
    told, began = [], time.monotonic()
    # some trials, however fast this machine is
    seconds = 3 + 3 * float(rows(folder)[0]["seconds"])
    result = ssdreg.resume_tuning(folder, budget=seconds / 60, progress=told.append)
    # a step or two may be under way when the time is up, and the picture is drawn
    assert time.monotonic() - began < 1.5 * seconds
    first, interrupted, again, *_ = result.trials
    assert (interrupted.outcome, again.outcome) == ("interrupted", "finished")
    assert again.recipe == interrupted.recipe
    assert first.recipe.lr == 1e-3
    assert all(trial.epochs <= 2 for trial in result.trials)
    assert not any("range test" in str(event) for event in told)
    assert result.best.ap == max(trial.ap for trial in result.trials
                                 if trial.outcome == "finished")
    assert result.options.lr == result.best.recipe.lr
    assert result.options.batch_size == result.best.recipe.batch_size
    assert len(rows(folder)) == len(result.trials)
    with Image.open(result.picture) as picture:
        assert picture.format == "PNG"
    assert not (folder / ".trial").exists()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        result.command = ""


def test_the_range_test_bounds_the_rates(stopped):
    curve = read_curve(stopped / "lr_range.csv")
    assert curve.falls
    assert range_test.FIRST < curve.lowest <= curve.steepest <= curve.highest <= range_test.LAST
    # a rate that is usual for training from nothing lies between them, or near
    assert curve.lowest < 1e-2 < 30 * curve.highest


def test_a_command_trains_with_what_was_found(stopped, tmp_path):
    """It is what the parser of `ssdreg train` takes, with the recipe and the data."""
    record = read_record(stopped)
    task = attrs.evolve(record.task, detector=attrs.evolve(
        record.task.detector, data_shape=(64, 96), tap_strides=(8, 16),
        sizes=((0.1, 0.2), (0.3, 0.4))), pretrained=False)
    recipe = tune.Recipe(lr=2e-3, batch_size=4, freeze_stages=1, head_lr=2.5, augment="ssd")
    program, *words = shlex.split(train_command(task, recipe, tmp_path / "a folder"))
    options = parser().parse_args(words)
    assert program == "ssdreg"
    for name, value in attrs.asdict(recipe).items():
        assert getattr(options, name) == value
    assert (options.data_shape, options.tap_strides) == ((64, 96), (8, 16))
    assert options.sizes == ((0.1, 0.2), (0.3, 0.4))
    assert (options.no_pretrained, options.backbone) == (True, SMALL.name)
    assert (str(options.data), options.split, options.val_split) == (
        task.source.train, "train", "val")
    assert options.out == tmp_path / "a folder"


def test_a_crash_is_marked_and_tried_again_once(stopped, tmp_path):
    shutil.copy(stopped / "trials.log", tmp_path)
    with quiet():
        study = Study(tmp_path / "trials.log", 0)
        searched = tune.Space(rates=(1e-4, 1e-1), batch_sizes=(4, 8, 16))
        lost = study.ask(searched)
        for _ in range(2):
            study = Study(tmp_path / "trials.log", 0)
            study.repeat_interrupted()
        assert [trial.outcome for trial in study.trials()] == [
            "finished", "interrupted", "interrupted"]
        repeated = [study.ask(searched).recipe for _ in range(2)]
        assert repeated == [study.trials()[1].recipe, lost.recipe]


def test_a_hopeless_trial_is_given_up(tmp_path):
    searched = tune.Space(rates=(1e-4, 1e-1), batch_sizes=(4,))

    def judged(study, ap):
        asked = study.ask(searched)
        epochs = [Epoch(number, 1, 1.0, 1e-3, 1.0, 1.0, 1.0, map=ap,
                        coco=figures(ap)) for number in range(1, 5)]
        verdicts = [asked.is_hopeless(epoch) for epoch in epochs]
        hopeless = any(verdicts)
        study.tell(asked, Trained(tuple(epochs), "pruned" if hopeless else "finished"))
        return hopeless
    with quiet():
        study = Study(tmp_path / "trials.log", 0)
        assert [judged(study, ap) for ap in (0.5, 0.4, 0.6, 0.1, 0.7)] == [
            False, False, False, True, False]
        assert [trial.outcome for trial in study.trials()][3] == "pruned"


def figures(ap):
    return CocoFigures(*[ap] * len(FIGURES))


def test_a_rate_that_diverges_is_the_worst_there_is(stopped, tmp_path):
    task = read_record(stopped).task
    prepared = prepare(task, Parts(SMALL, "ssd", "mxnet"), lambda event: None)
    recipe = tune.Recipe(lr=1e30, batch_size=4, freeze_stages=0, head_lr=1.0, augment="none")
    trained = train_trial(prepared, recipe, 2, tmp_path / "trial", Budget(60),
                          lambda epoch: False, lambda event: None)
    assert (trained.outcome, trained.ap) == ("diverged", 0.0)
    # and no step is begun when the time is up
    late = train_trial(prepared, attrs.evolve(recipe, lr=1e-3), 2, tmp_path / "trial", Budget(0),
                       lambda epoch: False, lambda event: None)
    assert (late.outcome, late.epochs) == ("interrupted", ())
    assert list(tmp_path.iterdir()) == []


def test_a_budget_too_short_for_a_trial_says_what_would_do(stopped, tmp_path, capsys):
    folder = tmp_path / "tuning"
    folder.mkdir()
    shutil.copy(stopped / "lr_range.csv", folder)
    write_record(folder, attrs.evolve(read_record(stopped), spent=299.99, image_seconds=0.5))
    done = command(capsys, "tune", "--resume", "--out", folder)
    assert done.status == 2
    assert ("is too short for one trial of 2 epochs: go on by --resume with --budget"
            in done.complaints[-1])
    assert rows(folder) == []


def test_the_command_tells_what_was_found(stopped, tmp_path, tiny_shapes, capsys):
    """Where no time is left for another trial, that is what there was before."""
    folder = shutil.copytree(stopped, tmp_path / "tuning")
    write_record(folder, attrs.evolve(read_record(folder), spent=299.99))
    done = command(capsys, "tune", "--resume", "--out", folder)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    header, first, second = lines[lines.index("") + 1:][:3]
    assert header.split()[:3] == ["trial", "AP", "lr"]
    assert first.split()[-2:] == ["2", "finished"]
    assert second.split()[-1] == "interrupted"
    assert any(line.startswith("best: trial 0, AP ") for line in lines)
    assert lines[-1].startswith(f"train with it: ssdreg train --backbone {SMALL.name} ")
    again = command(capsys, "tune", "--backbone", SMALL.name, "--data", tiny_shapes, "--out",
                    folder)
    assert refused(again, "already holds a tuning")


@pytest.mark.parametrize(("arguments", "sentence"), [
    ((), "--backbone and --data are needed to tune"),
    (("--data", "DATA"), "--backbone and --data are needed to tune"),
    (("--data", "DATA", "--backbone", "resnet18", "--budget", 0), "give minutes, more than 0"),
    (("--data", "DATA", "--backbone", "resnet18", "--budget", "inf"), "give minutes, more than 0"),
    (("--data", "DATA", "--backbone", "resnet18", "--epochs", 0), "one epoch or more"),
    (("--data", "nowhere", "--backbone", "resnet18"), "nowhere"),
    (("--data", "DATA", "--backbone", "resnet1"), "resnet1"),
    (("--resume",), "is no tuning: it has no tune.json"),
    (("--resume", "--backbone", "resnet18"), "--backbone is for a new tuning")])
def test_what_cannot_be_is_one_sentence(capsys, tiny_shapes, tmp_path, arguments, sentence):
    words = [tiny_shapes if word == "DATA" else word for word in arguments]
    done = command(capsys, "tune", *words, "--out", tmp_path / "tuning")
    assert refused(done, sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"format": 1, "ssdreg": "0", "task": {}}',
                                  '{"format": 99, "ssdreg": "9"}'])
def test_another_record_is_refused(tmp_path, text):
    (tmp_path / "tune.json").write_text(text)
    with pytest.raises(RunError, match=r"tune\.json (is not what|was written by ssdreg 9)"):
        read_record(tmp_path)


def test_a_record_is_read_as_it_was_written(stopped, tmp_path):
    record = read_record(stopped)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert json.loads((tmp_path / "tune.json").read_text())["task"]["backbone"] == SMALL.name


def test_without_optuna_a_sentence_says_how_to_get_it(capsys, monkeypatch, tiny_shapes, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = command(capsys, "tune", "--backbone", "resnet18", "--data", tiny_shapes, "--out",
                   tmp_path / "tuning")
    assert refused(done, "recipes are searched by a package that is not installed: run `pip ")
    assert "optuna" in done.err
    assert list(tmp_path.iterdir()) == []
