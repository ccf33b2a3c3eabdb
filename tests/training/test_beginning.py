"""Folders in which nothing was ever learnt: the same command and `--resume` both lead on."""

from __future__ import annotations

import json
import shutil
import signal

import pytest
from support.runs import DETECTOR, SIDE, SMALL, command, refused

import ssdreg
from ssdreg.errors import DataError, RunError
from ssdreg.runs.lock import writing
from ssdreg.runs.run import open_run
from ssdreg.training import state

#: What a training leaves that was stopped before the first save, apart from its lock.
BEGUN = {"config.json", "ssd-symbol.json", "deploy-symbol.json", "start.json"}


@pytest.fixture
def train(tmp_path, tiny_shapes):
    def start(name="run", **arguments):
        return ssdreg.train(**{
            "data": tiny_shapes, "out": tmp_path / name, "backbone": SMALL, "data_shape": SIDE,
            "tap_strides": (8, 16), "epochs": 1, "batch_size": 8, "engine": "mxnet", **arguments})
    return start


class StoppedError(Exception):
    """Whatever ends a training without a word to it."""


def stop(event):
    if isinstance(event, ssdreg.Step):
        raise StoppedError


@pytest.fixture
def begun(train, tmp_path):
    with pytest.raises(StoppedError):
        train(progress=stop)
    assert names(tmp_path / "run") == BEGUN
    return tmp_path / "run"


def names(folder):
    return {path.name for path in folder.iterdir()}


def same(one, other):
    return all((one.path / name).read_bytes() == (other.path / name).read_bytes()
               for name in ("ssd-0001.params", "ssd-0001.states"))


def test_the_same_command_and_resuming_are_the_same_training(begun, train, tmp_path):
    twice = shutil.copytree(begun, tmp_path / "twice")
    told = []
    resumed = ssdreg.resume(begun, progress=told.append).run
    assert str(told[0]) == "going on in epoch 1 of 1, after step 0"
    again = train("twice").run
    whole = train("whole").run
    assert same(resumed, whole)
    assert same(again, whole)
    assert names(begun) == names(twice) == names(whole.path)
    with pytest.raises(RunError, match="already holds a run: go on with it by `--resume`"):
        train()


def test_what_it_starts_from_is_kept_until_then(train, tiny_run, tmp_path):
    """Also where the run that it was taken from goes."""
    source = shutil.copytree(tiny_run, tmp_path / "source")
    with pytest.raises(StoppedError):
        train(pretrained=source / "ssd-0001.params", progress=stop)
    assert names(tmp_path / "run") == {*BEGUN, "start.params"}
    whole = train("whole", pretrained=source / "ssd-0001.params").run
    shutil.rmtree(source)
    resumed = ssdreg.resume(tmp_path / "run").run
    assert same(resumed, whole)
    assert names(resumed.path) == names(whole.path)


def test_parameters_to_start_from_that_are_damaged(train, tiny_run, tmp_path):
    with pytest.raises(StoppedError):
        train(pretrained=tiny_run / "ssd-0001.params", progress=stop)
    (tmp_path / "run" / "start.params").write_bytes(b"")
    with pytest.raises(RunError, match=r"start\.params is damaged: it is empty, and nothing was le"
                                       r"arnt yet: give the command that began .* again"):
        ssdreg.resume(tmp_path / "run")
    assert train(pretrained=tiny_run / "ssd-0001.params").best_epoch == 1


def test_another_recipe_may_be_begun_there(begun, train):
    assert state.load_options(open_run(begun)).seed == 0
    assert state.load_options(train(seed=3, batch_size=4).run).seed == 3


def test_an_interruption_in_the_first_epoch_is_gone_on_with(train, tmp_path):
    """It is of worth, unless its files are damaged."""
    def interrupt(event):
        if isinstance(event, ssdreg.Step) and event.step == 1 and not event.ended:
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(ssdreg.Interrupted):
        train(progress=interrupt)
    run = open_run(tmp_path / "run")
    assert state.load(run).state.updates == 1
    with pytest.raises(RunError, match="already holds a run: go on with it by `--resume`"):
        train()
    next(run.path.glob("*.states")).unlink()
    with pytest.raises(RunError, match="no whole epoch to go back to: give the command that began"):
        ssdreg.resume(run.path)
    assert train().best_epoch == 1


def test_a_bad_picture_in_the_first_epoch(train, tmp_path, monkeypatch):
    from ssdreg.data import DetectionIter
    with monkeypatch.context() as patched:
        def fail(self):
            raise DataError("a picture cannot be decoded")
        patched.setattr(DetectionIter, "__next__", fail)
        patched.setattr(DetectionIter, "next", fail)
        for start in (train, lambda: ssdreg.resume(tmp_path / "run"), train):
            with pytest.raises(DataError, match="cannot be decoded"):
                start()
    assert ssdreg.resume(tmp_path / "run").best_epoch == 1


def test_a_start_that_cannot_be(begun):
    stated = json.loads((begun / "start.json").read_text())
    (begun / "start.json").write_text(json.dumps({**stated, "options": {"epochs": -1}}))
    with pytest.raises(RunError, match=r"start\.json is not what `ssdreg train` wrote: options: '"):
        ssdreg.resume(begun)
    assert not ssdreg.doctor(begun).healthy


def test_a_second_training_is_refused(capsys, begun, train, tiny_shapes):
    with writing(begun, "a test"):
        for start in (train, lambda: ssdreg.resume(begun)):
            with pytest.raises(RunError, match=r"being written by process \d+ on .* \(a test\)"):
                start()
        for words in (("--resume",), (*DETECTOR, "--data", tiny_shapes)):
            assert refused(command(capsys, "train", "--out", begun, *words), "is being written by")
    assert names(begun) == BEGUN
    with pytest.raises(RunError, match=r"being written by process \d+ on .* \(ssdreg train\)"):
        train(progress=lambda event: isinstance(event, ssdreg.Step) and train())
