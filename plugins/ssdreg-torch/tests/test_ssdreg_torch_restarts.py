"""Processes that torchrun starts, of which one dies; and `ssdreg launch`, which starts them too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from in_processes import (
    OPTIONS,
    TOGETHER,
    begun,
    command,
    printed_by,
    written_shapes,
)

from ssdreg.runs.log import read_log


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return written_shapes(tmp_path_factory.mktemp("data") / "shapes")


def await_file(file, job):
    """Return when a file is there."""
    while not file.is_file():
        assert job.poll() is None, job.communicate()[0]
        time.sleep(.02)


def with_one_killed(job):
    """Kill a process of torchrun's; return what was printed when the job has ended well."""
    children = subprocess.run(["ps", "--ppid", str(job.pid), "-o", "pid="], text=True,
                              stdout=subprocess.PIPE, check=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)
    printed = printed_by(job)
    assert job.returncode == 0, printed
    return printed


def test_a_process_that_dies_before_anything_is_saved_begins_anew(shapes, tmp_path):
    """And `--resume` goes on with what it trains, in several processes too."""
    run = tmp_path / "run"
    job = begun(*TOGETHER, "--max-restarts", 1, "-m", "ssdreg", "train", *OPTIONS, "--data",
                shapes, "--out", run, "--epochs", 1, "--no-pretrained")
    await_file(run / "config.json", job)
    assert not (run / "state.json").is_file()
    printed = with_one_killed(job)
    assert "going on with" not in printed
    assert [epoch.epoch for epoch in read_log(run / "log.csv")] == [1]
    process = begun(*TOGETHER, "-m", "ssdreg", "train", "--resume", "--out", run, "--epochs", 2)
    printed = printed_by(process)
    assert process.returncode == 0, printed
    assert printed.count("going on in epoch 2 of 2, after step 0") == 1
    assert "by 2 processes, as before" in printed
    assert [epoch.epoch for epoch in read_log(run / "log.csv")] == [1, 2]


def test_a_process_that_dies_starts_the_job_again(shapes, tmp_path):
    run = tmp_path / "run"
    job = begun(*TOGETHER, "--max-restarts", 1, "-m", "ssdreg", "train", *OPTIONS, "--data",
                shapes, "--out", run, "--epochs", 6, "--no-pretrained")
    await_file(run / "state.json", job)
    time.sleep(.2)
    before = json.loads((run / "state.json").read_text())["state"]["epoch"]
    printed = with_one_killed(job)
    assert f"started again by torchrun: going on with {run}" in printed
    assert 1 <= before < 6
    assert [epoch.epoch for epoch in read_log(run / "log.csv")] == [1, 2, 3, 4, 5, 6]


def test_one_command_launches_them(shapes, tmp_path):
    run = tmp_path / "run"
    process = begun("-m", "ssdreg", "launch", "--workers", 2, "--", *command(
        data=shapes, out=run, epochs=1, no_pretrained=True))
    printed = printed_by(process)
    assert process.returncode == 0, printed
    assert "by 2 processes" in printed
    assert [epoch.epoch for epoch in read_log(run / "log.csv")] == [1]
