"""Training on real images, small ones: the loop, stopping, resuming, diverging, fine-tuning."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import numpy as np
import pytest
from support import paths
from support.runs import DETECTOR, SIDE, SMALL, command, refused

import ssdreg
from ssdreg.data import Augmentation, load, splits
from ssdreg.data.synthetic import write_shapes
from ssdreg.engines.choice import choose_engine
from ssdreg.errors import Interrupted, RunError
from ssdreg.mx import mx
from ssdreg.registry.device import Device
from ssdreg.runs.log import read_log
from ssdreg.runs.params import read_params
from ssdreg.runs.run import create_run, open_run
from ssdreg.training import state
from ssdreg.training.freezing import fixed
from ssdreg.training.options import TrainOptions
from ssdreg.training.progress import TrainingProgress
from ssdreg.training.start import read_checkpoint, take
from ssdreg.training.stopping import StopRequest
from ssdreg.training.trainer import Data, resume_run, train_run

SETTINGS = {"tap_strides": (8, 16), "num_filters": (-1, -1, 32, 32),
            "sizes": ((0.2, 0.27), (0.35, 0.42), (0.5, 0.6), (0.8, 0.9))}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, train=16, val=6, size=(SIDE, SIDE))
    return folder


@pytest.fixture
def data(shapes):
    source = splits.choose(shapes)
    learning, validation = splits.open_data(source)
    return Data(source=source, train=learning, validation=validation,
                augmentation=Augmentation(pad_scale=1.5, crop_scale=(0.6, 1.0)))


def start_run(path: Path, classes) -> ssdreg.runs.run.Run:
    shared = (SMALL, len(classes), SIDE)
    return create_run(path, tuple(classes), ssdreg.plan(*shared, **SETTINGS),
                      ssdreg.build(*shared, **SETTINGS),
                      ssdreg.build(*shared, mode="deploy", **SETTINGS))


def recipe(**changes) -> TrainOptions:
    return TrainOptions(**{"epochs": 2, "batch_size": 8, "optimizer": "adam", "lr": 1e-3,
                           "wd": 1e-5, "warmup": 2, **changes})


def same_params(left: Path, right: Path) -> bool:
    a, b = read_params(left), read_params(right)
    return all(set(x) == set(y) and all(np.array_equal(x[name].asnumpy(), y[name].asnumpy())
                                        for name in x)
               for x, y in ((a.args, b.args), (a.auxs, b.auxs)))


def test_training_learns_and_leaves_a_whole_run(tmp_path, data):
    run = start_run(tmp_path / "run", data.train.classes)
    # without augmentation 16 images are soon known by heart
    train_run(run, attrs.evolve(data, augmentation=None), recipe(epochs=6), choose_engine("mxnet"))
    log = read_log(run.log_file)
    assert [entry.epoch for entry in log] == [1, 2, 3, 4, 5, 6]
    assert [entry.steps for entry in log] == [2, 4, 6, 8, 10, 12]
    assert log[-1].cls_loss < 0.7 * log[0].cls_loss
    assert log[-1].loc_loss < log[0].loc_loss
    assert all(0 <= entry.map <= 1 for entry in log)
    names = {file.name for file in run.path.iterdir()}
    assert names == {"config.json", "ssd-symbol.json", "deploy-symbol.json", "log.csv",
                     "state.json", "ssd-0006.states", "SHA256SUMS",
                     *(f"ssd-{epoch:04d}.params" for epoch in range(1, 7))}


def test_the_logged_map_is_that_of_the_saved_parameters(tmp_path, data):
    from ssdreg.data import open_eval
    from ssdreg.deploy.executor import open_inference
    run = start_run(tmp_path / "run", data.train.classes)
    train_run(run, data, recipe(epochs=2), choose_engine("mxnet"))
    batches = open_eval(data.validation, (SIDE, SIDE), 3, run.plan.preprocessing)
    found = open_inference(run, 3, epoch=2).evaluate(batches, run.classes)
    batches.close()
    assert found.map == pytest.approx(read_log(run.log_file)[1].map, abs=1e-5)


@pytest.fixture(scope="module")
def whole_runs() -> dict:
    """Runs of three epochs without a stop, by their optimizers."""
    return {}


@pytest.mark.parametrize(("optimizer", "steps_before", "where"), [
    ("sgd", 3, (1, 1)), ("nag", 3, (1, 1)), ("adam", 3, (1, 1)), ("lamb", 3, (1, 1)),
    ("adam", 4, (2, 0)), ("adam", 0, (0, 0))])
def test_a_resumed_run_is_the_same_run(tmp_path, tmp_path_factory, whole_runs, data, optimizer,
                                       steps_before, where, monkeypatch):
    options = recipe(epochs=3, optimizer=optimizer, momentum=0.9)
    if optimizer not in whole_runs:
        whole_runs[optimizer] = start_run(tmp_path_factory.mktemp("whole") / "run",
                                          data.train.classes)
        train_run(whole_runs[optimizer], data, options, choose_engine("mxnet"))
    whole = whole_runs[optimizer]

    stopped = start_run(tmp_path / "stopped", data.train.classes)

    def stop_behind_a_step(self, progress_state, per_epoch, rate):
        if progress_state.updates == steps_before:  # an epoch has two
            signal.raise_signal(signal.SIGINT)

    begin = TrainingProgress.__enter__

    def stop_before_the_first(self):
        if steps_before == 0:
            signal.raise_signal(signal.SIGINT)
        return begin(self)

    with monkeypatch.context() as patched:
        # only to know the step at which the signal comes; what it does is real
        patched.setattr(TrainingProgress, "step", stop_behind_a_step)
        patched.setattr(TrainingProgress, "__enter__", stop_before_the_first)
        with pytest.raises(Interrupted):
            train_run(stopped, data, options, choose_engine("mxnet"))
    saved = state.load(stopped)
    assert (saved.state.epoch, saved.state.step) == where
    assert saved.state.updates == steps_before
    resume_run(stopped, saved, data, choose_engine("mxnet"))

    for epoch in (1, 2, 3):
        assert same_params(whole.params_file(epoch), stopped.params_file(epoch))
    losses = [[(entry.epoch, entry.steps, entry.cls_loss, entry.loc_loss, entry.map)
               for entry in read_log(run.log_file)] for run in (whole, stopped)]
    assert losses[0] == losses[1]
    assert not list(stopped.path.glob("*-step*"))


def test_several_devices_share_a_batch_and_resume(tmp_path, data):
    devices = attrs.evolve(choose_engine("mxnet"), devices=(Device("cpu"), Device("cpu", 1)))
    # a rate that does not depend on the number of epochs, so that one may be added
    constant = recipe(lr_steps=(100,))
    whole = start_run(tmp_path / "whole", data.train.classes)
    train_run(whole, data, constant, devices)
    parts = start_run(tmp_path / "parts", data.train.classes)
    train_run(parts, data, attrs.evolve(constant, epochs=1), devices)
    saved = state.load(parts)
    resume_run(parts, attrs.evolve(saved, options=constant), data, devices)
    assert [entry.epoch for entry in read_log(parts.log_file)] == [1, 2]
    left, right = (read_params(run.params_file(2)) for run in (whole, parts))
    for name, array in left.args.items():
        assert np.array_equal(array.asnumpy(), right.args[name].asnumpy()), name
    # saved as their mean over the devices, which each device then goes on from
    for name, array in left.auxs.items():
        np.testing.assert_allclose(array.asnumpy(), right.auxs[name].asnumpy(), rtol=1e-5)
    with pytest.raises(RunError, match="cannot be divided among 2 devices"):
        train_run(start_run(tmp_path / "odd", data.train.classes), data, recipe(batch_size=5),
                  devices)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, shapes, capsys):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "ssdreg", "train", "--out", run, *DETECTOR, "--data", shapes,
         "--epochs", "200", "--batch-size", "4"], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "log.csv").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"go on with: ssdreg train --resume --out {run}" in errors
    saved = state.load(open_run(run))
    assert saved.state.updates >= 4
    again = ("train", "--out", run, "--resume")
    for option, message in ((("--lr", "0.5"), "a resumed run keeps its recipe"),
                            (("--backbone", "resnet34"), "--backbone is for a new run")):
        assert refused(command(capsys, *again, *option), message)
    epochs = saved.state.epoch + 1
    done = command(capsys, *again, "--epochs", epochs)
    assert done.status == 0, done.err
    assert read_log(run / "log.csv")[-1].epoch == epochs


def test_a_second_ctrl_c_interrupts_at_once():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_diverging_run_stops_and_says_where_and_why(tmp_path, data):
    run = start_run(tmp_path / "run", data.train.classes)
    with pytest.raises(RunError, match=r"not a number any more in epoch \d+, step \d of 2: "
                                       r"likely the learning rate \(.*\) is too high.*--lr"):
        train_run(run, data, recipe(optimizer="sgd", lr=1e6, epochs=9, warmup=0),
                  choose_engine("mxnet"))
    assert all(math.isfinite(entry.cls_loss) for entry in run.log())


def test_frozen_parameters_stay(tmp_path, data):
    run = start_run(tmp_path / "run", data.train.classes)
    train_run(run, data, recipe(epochs=2, freeze="conv0|stage[12]_"), choose_engine("mxnet"))
    first, last = (read_params(run.params_file(epoch)).args for epoch in (1, 2))
    # bn_data's scale is fixed at 1 by the network, whatever the array says
    for name in set(first) - {"bn_data_gamma"}:
        moved = not np.array_equal(first[name].asnumpy(), last[name].asnumpy())
        assert moved != name.startswith(("conv0", "stage1_", "stage2_")), name


@pytest.mark.parametrize(("pattern", "message"), [("nothing_", "matches none of the"),
                                                  ("", "matches every one of the")])
def test_a_freeze_that_cannot_be_meant_is_refused(pattern, message):
    with pytest.raises(RunError, match=message):
        fixed(ssdreg.build(SMALL), ssdreg.plan(SMALL), TrainOptions(freeze=pattern))


def test_a_checkpoint_of_other_classes_keeps_what_fits(tmp_path, data):
    run = start_run(tmp_path / "run", data.train.classes)
    train_run(run, data, recipe(epochs=1), choose_engine("mxnet"))
    symbol = ssdreg.build(SMALL, 7, SIDE, **SETTINGS)
    inputs = {"data": (1, 3, SIDE, SIDE), "label": (1, 4, 6)}
    taken = take(read_checkpoint(run.path), symbol, inputs, run.path)
    assert taken.reshaped
    assert all("_cls_pred_conv_" in name for name in taken.reshaped)
    assert len(taken.reshaped) == 2 * len(run.plan.levels)
    assert (taken.fresh, taken.unused) == ((), 0)
    assert "start anew, of another shape there (other classes or anchors)" in taken.describe()
    whole = read_params(run.params_file(1))
    assert np.array_equal(taken.params.args["conv0_weight"].asnumpy(),
                          whole.args["conv0_weight"].asnumpy())

    # the run that starts from it has other classes and the old backbone
    other = create_run(tmp_path / "other", tuple("abcdefg"),
                       ssdreg.plan(SMALL, 7, SIDE, **SETTINGS), symbol,
                       ssdreg.build(SMALL, 7, SIDE, mode="deploy", **SETTINGS))
    seven = attrs.evolve(data, train=attrs.evolve(data.train, classes=tuple("abcdefg")),
                         validation=None)
    train_run(other, seven, recipe(epochs=1, freeze="conv0"), choose_engine("mxnet"), taken)
    assert np.array_equal(read_params(other.params_file(1)).args["conv0_weight"].asnumpy(),
                          whole.args["conv0_weight"].asnumpy())
    assert math.isnan(read_log(other.log_file)[0].map)


def test_a_checkpoint_that_fits_nowhere_or_is_not_finite_is_refused(tmp_path):
    symbol = ssdreg.build(SMALL, 3, SIDE, **SETTINGS)
    inputs = {"data": (1, 3, SIDE, SIDE), "label": (1, 4, 6)}
    stranger, broken = tmp_path / "stranger.params", tmp_path / "broken.params"
    mx.nd.save(str(stranger), {"arg:fc_weight": mx.nd.zeros((3, 3))})
    with pytest.raises(RunError, match=r"nothing in .* fits this network"):
        take(read_checkpoint(stranger), symbol, inputs, stranger)
    mx.nd.save(str(broken), {"arg:conv0_weight": mx.nd.full((8, 3, 7, 7), math.nan)})
    with pytest.raises(RunError, match=r"'conv0_weight' in .* is not finite"):
        take(read_checkpoint(broken), symbol, inputs, broken)
    with pytest.raises(RunError, match="is not there"):
        read_checkpoint(tmp_path / "missing.params")


def test_only_the_newest_and_the_best_parameters_are_kept(tmp_path, data):
    run = start_run(tmp_path / "run", data.train.classes)
    train_run(run, data, recipe(epochs=4, keep_epochs=1), choose_engine("mxnet"))
    assert set(run.epochs()) == {4, run.best_epoch()}


def test_classes_of_other_data_are_refused(tmp_path, data):
    run = start_run(tmp_path / "run", ("apple", "pear", "plum"))
    with pytest.raises(RunError, match=r"classes \(circle, square, triangle\) are not those"):
        train_run(run, data, recipe(), choose_engine("mxnet"))


def test_the_learning_rate_rises_and_falls():
    stepped = TrainOptions(lr=0.1, warmup=4, lr_steps=(2, 3), lr_factor=0.1, epochs=4)
    rates = [stepped.rate(step, 10) for step in (0, 1, 3, 19, 20, 30)]
    assert rates == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.01, 0.001])
    cosine = TrainOptions(lr=0.1, warmup=0, epochs=2)
    assert [cosine.rate(step, 10) for step in (0, 10, 20)] == pytest.approx([0.1, 0.05, 0.0])


def test_the_same_seed_starts_the_same_run(tmp_path, data):
    runs = [start_run(tmp_path / name, data.train.classes) for name in ("a", "b", "c")]
    for run, seed in zip(runs, (3, 3, 4)):
        train_run(run, data, recipe(epochs=1, seed=seed), choose_engine("mxnet"))
    files = [run.params_file(1) for run in runs]
    assert same_params(files[0], files[1])
    assert not same_params(files[0], files[2])


@pytest.mark.reference
def test_the_data_set_of_blood_cells_is_read_whole():
    folder = paths.SHARED / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("the BCCD data set does not lie beside the project")
    packed = load(folder, "trainval")
    assert packed.classes == ("Platelets", "RBC", "WBC")
    assert {issue.file.stem for issue in packed.issues
            if issue.kind == "empty box"} <= {"BloodImage_00338", "BloodImage_00343"}
    assert packed.images == len((folder / "ImageSets/Main/trainval.txt").read_text().split())
