"""How a job ends, and what it says: interruptions, early ends, failures, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from support import jobs
from support.runs import command

import ssdreg
from ssdreg.cli.commands.sagemaker.train import TERMINATED
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import open_run
from ssdreg.sagemaker.hyperparameters import read_settings
from ssdreg.sagemaker.metrics import JobLog
from ssdreg.sagemaker.stopping import has_ended
from ssdreg.sagemaker.train import recipe


def train(capsys, root):
    return command(capsys, "sagemaker", "train", "--root", root)


def failure(root):
    file = root / "output" / "failure"
    return file.read_text() if file.exists() else ""


def left(root):
    return sorted(file.name for file in (root / "model").iterdir())


def log(run):
    """The log without times."""
    return [(entry.epoch, entry.steps, entry.lr, entry.cls_loss, entry.loc_loss, entry.map)
            for entry in run.log()]


# Interruptions

def interrupt_in(monkeypatch, epoch):
    """Send SIGTERM when this epoch has been told of; what it does is real."""
    whole = JobLog.__call__

    def call(self, event):
        whole(self, event)
        if isinstance(event, Epoch) and event.epoch == epoch:
            signal.raise_signal(signal.SIGTERM)
    monkeypatch.setattr(JobLog, "__call__", call)


def test_a_spot_interruption_saves_and_the_same_job_goes_on(capsys, tmp_path, monkeypatch):
    whole, broken = (jobs.pictures_job(tmp_path / name, epochs=2) for name in ("whole", "broken"))
    for root in (whole, broken):
        (root / "checkpoints").mkdir()
    assert train(capsys, whole).status == 0
    with monkeypatch.context() as patch:
        interrupt_in(patch, 1)
        done = train(capsys, broken)
    assert done.status == TERMINATED == 143
    assert failure(broken) == ""
    assert "stopped; the same job started again goes on" in done.err
    # the best so far, for whoever stopped the job to keep
    assert "model.onnx" in left(broken)
    done = train(capsys, broken)
    assert done.status == 0, done.err
    assert "going on in epoch 2 of 2" in done.out
    runs = [open_run(root / "checkpoints" / "run") for root in (whole, broken)]
    assert log(runs[0]) == log(runs[1])
    assert jobs.figures(done.out)["train:progress"] == [100]
    # once more, as after an interruption while the model was copied
    assert train(capsys, broken).status == 0
    assert left(broken) == left(whole)


def test_a_stop_while_a_pipe_is_waited_for(tmp_path):
    """Before training begins, too; as the first process of a container, which nothing else ends."""
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1)
    os.mkfifo(root / "input" / "data" / "train_0")
    jobs.configure(root, jobs.told(base_network="resnet18"),
                   {"train": jobs.channel("application/x-recordio", "Pipe")})
    with subprocess.Popen([sys.executable, "-m", "ssdreg", "sagemaker", "train", "--root", root],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # said just before the pipe is opened
        assert "num_training_samples" in process.stdout.readline()
        process.terminate()
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == TERMINATED, errors
    assert errors.startswith("ssdreg: stopped; ")
    assert failure(root) == ""


def test_checkpoints_are_of_one_job(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", epochs=1)
    (root / "checkpoints").mkdir()
    assert train(capsys, root).status == 0
    jobs.write(root / "input" / "config" / "hyperparameters.json",
               jobs.told(epochs=1, learning_rate=0.02))
    done = train(capsys, root)
    assert done.status == 2
    assert "of a job whose learning_rate is '0.01', and this job's is '0.02'" in failure(root)


# Early ends

def test_a_job_ends_early(capsys, tmp_path):
    """Nothing is better than the first epoch by as much as is asked, so that it ends after two."""
    root = jobs.pictures_job(tmp_path / "ml", epochs=9, early_stopping="True",
                             early_stopping_min_epochs=1, early_stopping_patience=1,
                             early_stopping_tolerance=1, learning_rate=1e-6)
    done = train(capsys, root)
    assert done.status == 0, done.err
    assert "ended early: the last 1 epochs brought no better mAP" in done.out
    assert len(jobs.figures(done.out)["validation:mAP"]) == 2
    assert "model.onnx" in left(root)


def epochs(*maps):
    return [Epoch(epoch=number, steps=1, seconds=1, lr=1, images_per_second=1, cls_loss=1,
                  loc_loss=1, map=value) for number, value in enumerate(maps, start=1)]


@pytest.mark.parametrize(("maps", "told", "ended"), [
    ((.1, .2, .3, .4), {}, False),
    ((.4, .3, .2), {}, True),
    ((.4, .3), {}, False),  # not waited for long enough
    ((.4, .3, .2), {"early_stopping_min_epochs": 4}, False),
    ((.4, .41, .42), {"early_stopping_tolerance": .1}, True),
    ((.4, .41, .46), {"early_stopping_tolerance": .1}, False),
    ((0, 0, 0), {}, True),
    ((.4, .3, .2), {"early_stopping": "False"}, False),
    ((), {}, False)])
def test_when_a_job_ends_early(maps, told, ended):
    settings = read_settings(jobs.told(**{
        "early_stopping": "True", "early_stopping_min_epochs": 1, "early_stopping_patience": 2,
        **told}))
    assert has_ended(settings, epochs(*maps)) is ended


# Failures

def test_the_reason_of_an_earlier_failure_is_not_that_of_this_start(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1, optimizer="adadelta")
    assert train(capsys, root).status == 2
    assert "adadelta" in failure(root)
    jobs.write(root / "input" / "config" / "hyperparameters.json", jobs.told(epochs="none"))
    assert train(capsys, root).status == 2
    assert "adadelta" not in failure(root)


def test_no_folders_are_made_where_there_is_no_job(capsys, tmp_path):
    done = train(capsys, tmp_path / "ml")
    assert done.status == 2
    assert "hyperparameters.json is not there" in done.err
    assert not (tmp_path / "ml").exists()


def test_a_reason_that_cannot_be_written_is_still_told(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1, optimizer="adadelta")
    (root / "output").rmdir()
    (root / "output").touch()
    done = train(capsys, root)
    assert done.status == 2
    first, second = done.complaints
    assert "failure cannot be written" in first
    assert "adadelta" in second


def test_a_failure_of_the_disk_is_the_reason_too(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1)
    (root / "checkpoints" / "hyperparameters.json").mkdir(parents=True)
    assert train(capsys, root).status == 2
    assert failure(root).startswith("IsADirectoryError: ")


# Hyperparameters

def test_what_the_hyperparameters_mean():
    settings = read_settings(jobs.told(
        lr_scheduler_step="20, 10", lr_scheduler_factor=0.5, momentum='"0.8"', weight_decay=0.001,
        freeze_layer_pattern="^(conv1_|conv2_).*", optimizer="sgd"))
    meant = recipe(settings)
    assert (meant["lr_steps"], meant["lr_factor"]) == ((10, 20), 0.5)
    assert (meant["momentum"], meant["wd"], meant["lr"]) == (0.8, 0.001, 0.01)
    assert (meant["freeze"], meant["freeze_stages"]) == ("^(conv1_|conv2_).*", 0)


def test_without_steps_the_rate_stays():
    meant = recipe(read_settings(jobs.told()))
    options = ssdreg.TrainOptions(**{**meant, "epochs": 30, "warmup": 0})
    assert {options.rate(step, 10) for step in range(0, 300, 7)} == {0.01}


@pytest.mark.parametrize(("optimizer", "there", "wd"), [
    ("sgd", "sgd", 0.0005), ("adam", "adam", 0.0), ("rmsprop", "adam", 0.0005)])
def test_optimizers_and_their_decay(optimizer, there, wd):
    meant = recipe(read_settings(jobs.told(optimizer=optimizer)))
    assert (meant["optimizer"], meant["wd"]) == (there, wd)


def test_what_is_mapped_is_said():
    notes = read_settings(jobs.told(optimizer="rmsprop", label_width=600, kv_store="dist_sync",
                                    _tuning_objective_metric="validation:mAP")).notes
    assert [note.partition(":")[0] for note in notes] == [
        "num_training_samples", "use_pretrained_model", "optimizer rmsprop", "label_width",
        "kv_store"]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"optimizer": "adadelta"}, "optimizer is 'adadelta', and must be sgd, adam or rmsprop"),
    ({"overlap_threshold": 0.75}, "overlap_threshold is '0.75', and must be 0.5"),
    ({"epochs": "many"}, "epochs is 'many', and must be a whole number from 1"),
    ({"epochs": "1e400"}, "epochs is '1e400', and must be a whole number from 1"),
    ({"learning_rate": "nan"}, "learning_rate is 'nan', and must be above 0, at most 1"),
    ({"freeze_layer_pattern": "("}, "it is no regular expression"),
    ({"lr_schedule_step": "1"}, "lr_schedule_step is not known: is lr_scheduler_step meant?"),
    ({"base_network": "resnet-51"}, "resnet-51"),
    ({"early_stopping": "perhaps"}, "early_stopping is 'perhaps', and must be True or False")])
def test_a_refused_hyperparameter_is_the_reason_of_the_failure(capsys, tmp_path, changes, sentence):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1, **changes)
    done = train(capsys, root)
    assert done.status == 2
    assert sentence in failure(root)
    assert done.err == f"ssdreg: {failure(root)}\n"
    assert left(root) == []


def test_a_missing_hyperparameter(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1)
    jobs.write(root / "input" / "config" / "hyperparameters.json", {"num_training_samples": "1"})
    assert train(capsys, root).status == 2
    assert failure(root).startswith("the hyperparameter num_classes is missing")


# Configurations

def test_several_machines_are_refused(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1)
    jobs.write(root / "input" / "config" / "resourceconfig.json",
               {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})
    assert train(capsys, root).status == 2
    assert failure(root).startswith("the job has 2 machines, and one trains here")


def test_nothing_to_tell_an_early_end_by(capsys, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1, early_stopping="1")
    config = root / "input" / "config" / "inputdataconfig.json"
    channels = json.loads(config.read_text())
    del channels["validation"]
    jobs.write(config, channels)
    assert train(capsys, root).status == 2
    assert "no channel 'validation' to tell when to stop" in failure(root)


@pytest.mark.parametrize(("content", "sentence"), [
    (None, "hyperparameters.json is not there: a job is told by this file"),
    ("{", "hyperparameters.json cannot be read: it is no JSON, or it is truncated"),
    ("[]", "hyperparameters.json holds no JSON object")])
def test_a_job_that_is_told_nothing(capsys, tmp_path, content, sentence):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1)
    file = root / "input" / "config" / "hyperparameters.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    assert train(capsys, root).status == 2
    assert sentence in failure(root)


def test_a_model_to_go_on_with(capsys, tmp_path, trained):
    """The channel `model` of a job that was trained before, as the service unpacks none of it."""
    root = jobs.pictures_job(tmp_path / "ml", epochs=1)
    config = root / "input" / "config" / "inputdataconfig.json"
    jobs.write(config, {**json.loads(config.read_text()),
                        "model": jobs.channel("application/x-sagemaker-model")})
    (root / "input" / "data" / "model").symlink_to(trained / "model")
    done = train(capsys, root)
    assert done.status == 0, done.err
    assert "0 of it not needed" in done.out
    assert "goes on with the model of the channel 'model'" in done.out
