"""One command starts several workers: they train as one would, one dies, all stop, none stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ssdreg.cli.main import main
from ssdreg.data.synthetic import write_shapes
from ssdreg.runs.log import read_log
from ssdreg.runs.params import read_params

SIDE, BATCH = 64, 8
OPTIONS = ("--engine", "mxnet", "--backbone", "resnet18", "--data-shape", SIDE, "--tap-strides",
           "8,16", "--batch-size", BATCH, "--precision", "float32", "--freeze-stages", 0)
#: Seconds in which the whole job is to be over when a worker has died.
OVER = 30


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, 4 * BATCH, 6, (SIDE, SIDE))
    return folder


def launched(*training):
    return subprocess.Popen([sys.executable, "-m", "ssdreg", "launch", "--workers", "2", "--",
                             *map(str, training)], text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})


def members(run):
    """Return the processes that train a run, by the number among the members."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if "ssdreg.cli.member" in words and str(run) in words:
            found[int(words[words.index("--member") + 1])] = int(folder.name)
    return found


def await_none(run, seconds):
    until = time.monotonic() + seconds
    while members(run):
        assert time.monotonic() < until, members(run)
        time.sleep(.05)


def await_epoch(run, epoch, job):
    """Return when an epoch is saved."""
    while not (run / f"ssd-{epoch:04d}.states").is_file():
        if job.poll() is not None:
            pytest.fail(job.communicate()[0])
        time.sleep(.02)


def values(file):
    params = read_params(file)
    return {name: array.asnumpy() for name, array in {**params.args, **params.auxs}.items()}


@pytest.mark.slow
def test_two_workers_train_as_one_with_the_whole_batch(shapes, tmp_path):
    """Twenty steps, with pictures augmented; the moments of the backbone are frozen."""
    start = tmp_path / "start"
    assert main(list(map(str, ("train", *OPTIONS, "--data", shapes, "--out", start, "--epochs", 1,
                               "--no-pretrained")))) == 0
    recipe = ("train", *OPTIONS, "--data", shapes, "--pretrained", start, "--epochs", 5,
              "--validate-every", 5, "--optimizer", "sgd", "--lr", "1e-3", "--freeze-norm")
    assert main(list(map(str, (*recipe, "--out", tmp_path / "one")))) == 0
    job = launched(*recipe, "--out", tmp_path / "two", "--wire", "float32")
    printed = job.communicate(timeout=300)[0]
    assert job.returncode == 0, printed
    assert "by 2 processes" in printed
    assert printed.count("epoch   5") == 1
    one, two = (values(tmp_path / name / "ssd-0005.params") for name in ("one", "two"))
    before = values(start / "ssd-0001.params")
    for name, array in one.items():
        assert np.abs(array - two[name]).max() <= 1e-4, name
    assert max(np.abs(array - before[name]).max() for name, array in one.items()) > 1e-3
    assert not members(tmp_path / "two")


@pytest.mark.slow
def test_a_job_that_loses_a_worker_ends_and_goes_on(shapes, tmp_path):
    """Then it is stopped by Ctrl-C, and its launcher is killed: no process is ever left."""
    run = tmp_path / "run"
    job = launched("train", *OPTIONS, "--data", shapes, "--out", run, "--epochs", 500,
                   "--validate-every", 500, "--no-pretrained")
    await_epoch(run, 1, job)
    os.kill(members(run)[3], signal.SIGKILL)
    printed = job.communicate(timeout=OVER)[0]
    assert job.returncode == 2
    assert "worker 1 of 2 was ended by signal 9" in printed
    advised = f"ssdreg launch --workers 2 -- train --resume --out {run}"
    assert f"{run} is whole; go on with: {advised}" in printed
    assert not members(run)

    saved = read_log(run / "log.csv")[-1].epoch
    job = launched("train", "--resume", "--out", run)
    await_epoch(run, saved + 2, job)
    job.send_signal(signal.SIGINT)
    printed = job.communicate(timeout=OVER)[0]
    assert job.returncode == 130, printed
    assert "stopped and saved" in printed
    log = [epoch.epoch for epoch in read_log(run / "log.csv")]
    assert log == list(range(1, len(log) + 1))
    assert not members(run)

    job = launched("train", "--resume", "--out", run)
    while len(members(run)) < 4:
        time.sleep(.02)
    job.kill()
    await_none(run, 20)
    job.communicate()
