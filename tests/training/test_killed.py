"""Trainings that are killed at any moment and resumed: the same run to the bit, nothing left over.
"""

from __future__ import annotations

import signal

import pytest
from support.killing import AfterStep, BeforeRename, WhileWriting, end_of_training

from ssdreg.registry.device import CPU, Device
from ssdreg.registry.names import get_engine
from ssdreg.runs.log import read_log

OPTIONS = {"epochs": 3, "batch_size": 4, "augment": "ssd"}
#: The steps of an epoch.
STEPS = 4


def moments(run, cache):
    """Return a moment for each kind of work that a training does, in their order."""
    return [
        WhileWriting(cache, ".train-*.rec"),
        BeforeRename("train-*.rec"),  # its index has its name already
        BeforeRename("ssd-symbol.json"),
        BeforeRename("start.json"),
        BeforeRename("config.json"),
        AfterStep(1, 1),
        WhileWriting(run, ".ssd-0001.*.params"),
        BeforeRename("ssd-0001.states"),
        AfterStep(1, STEPS, 0.01),  # validates, or saves
        BeforeRename("state.json"),
        AfterStep(2, 3),
        BeforeRename("log.csv"),
        WhileWriting(run, ".ssd-0002.*.states"),
        BeforeRename("SHA256SUMS"),
        AfterStep(3, 2),
        BeforeRename("curves.png"),  # of the last epoch
    ]


def learnt(run):
    """Return what a run has come to, without times."""
    return [(line.epoch, line.steps, line.lr, line.cls_loss, line.loc_loss, line.map, line.ap)
            for line in read_log(run / "log.csv")]


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*")}


# every one of the moments, and in the other precision a few
@pytest.mark.parametrize(("precision", "every"), [("float32", 1), ("bfloat16", 6)])
@pytest.mark.slow
def test_killed_at_any_moment_it_is_the_same_run(tmp_path, tiny_shapes, precision, every):
    if precision not in get_engine("mxnet").precisions_on(Device(CPU)):
        pytest.skip(f"this processor does not compute in {precision}")
    whole, run = tmp_path / "whole", tmp_path / "run"
    options = {**OPTIONS, "precision": precision}
    one, other = tmp_path / "one", tmp_path / "other"
    assert end_of_training(whole, tiny_shapes, one, None, **options) == 0
    for moment in moments(run, other)[::every]:
        assert end_of_training(run, tiny_shapes, other, moment, **options) == -signal.SIGKILL, (
            f"{moment} did not come")
    assert end_of_training(run, tiny_shapes, other, None, **options) == 0
    for name in (*(f"ssd-{epoch:04d}.params" for epoch in (1, 2, 3)), "ssd-0003.states",
                 "SHA256SUMS"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert learnt(run) == learnt(whole)
    assert files(run) == files(whole)
    assert files(other) == files(one)
