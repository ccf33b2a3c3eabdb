"""What training tells while it runs: one speed, and times that are short where they are."""

from __future__ import annotations

import re
import signal

import pytest
from support.runs import TINY, command

from ssdreg.runs.log import duration
from ssdreg.runs.run import open_run
from ssdreg.training.trainer import _Trainer

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.parametrize(("seconds", "text"), [
    (0.04, "0.0 s"), (8.53, "8.5 s"), (59.9, "59.9 s"), (60, "1.0 min"), (754, "12.6 min"),
    (3599, "60 min"), (3600, "1.0 h"), (90_000, "25 h")])
def test_a_time_is_written_in_what_it_takes(seconds, text):
    assert duration(seconds) == text


def test_there_is_one_speed(capsys, tmp_path, tiny_shapes, monkeypatch):
    """What moves along, what stays and what is logged are the same measurement."""
    rates = []
    monkeypatch.setattr("ssdreg.training.progress.TrainingProgress.step",
                        lambda self, state, steps, rate: rates.append((state, rate)))
    done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", tmp_path / "run",
                   "--epochs", 2, "--batch-size", 4)
    assert done.status == 0, done.err
    log = open_run(tmp_path / "run").log()
    printed = [float(found) for found in re.findall(r"([\d.]+) img/s", done.out)]
    assert printed == [pytest.approx(entry.images_per_second, abs=0.06) for entry in log]
    for epoch, entry in enumerate(log):
        last = [rate for state, rate in rates if state.epoch == epoch][-1]
        assert last == pytest.approx(entry.images_per_second, rel=0.2)


def test_the_steps_before_a_stop_do_not_count_for_the_speed_after_it(capsys, tmp_path, tiny_shapes,
                                                                      monkeypatch):
    out, counted, measure = tmp_path / "run", [], _Trainer._rate

    def stop_behind_the_third(self, state, steps, rate):
        if state.updates == 3:
            signal.raise_signal(signal.SIGINT)

    def counting(self, steps, seconds):
        counted.append(steps)
        return measure(self, steps, seconds)
    with monkeypatch.context() as patch:
        patch.setattr("ssdreg.training.progress.TrainingProgress.step", stop_behind_the_third)
        assert command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", out, "--epochs",
                       1, "--batch-size", 4).status == 130
    monkeypatch.setattr(_Trainer, "_rate", counting)
    done = command(capsys, "train", "--resume", "--out", out)
    assert done.status == 0, done.err
    # 16 images are four steps, of which one was left; it counts alone, step by step and at the end
    assert counted == [1, 1]
