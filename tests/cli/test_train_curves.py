"""What `ssdreg train` tells of its epochs besides its lines: the log, curves, TensorBoard."""

from __future__ import annotations

import attrs
import pytest
from PIL import Image
from support.runs import TINY, command

from ssdreg.metrics.coco import FIGURES
from ssdreg.runs.run import open_run
from ssdreg.training import trainer

pytestmark = pytest.mark.usefixtures("small")


def test_every_epoch_is_logged_drawn_and_written(capsys, tmp_path, tiny_shapes, monkeypatch):
    out, drawn = tmp_path / "run", []
    finish = trainer._Trainer._finish_epoch

    def look(self, *arguments):
        # what is there when an epoch ends is of the epochs before
        drawn.append((out / "curves.png").is_file())
        return finish(self, *arguments)
    monkeypatch.setattr(trainer._Trainer, "_finish_epoch", look)
    common = ("--out", out, "--tensorboard")
    done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--epochs", 2,
                   "--batch-size", 8, *common)
    assert done.status == 0
    assert drawn == [False, True]
    with Image.open(out / "curves.png") as curves:
        assert curves.format == "PNG"
    log = open_run(out).log()
    for epoch in log:
        assert epoch.coco is not None
        assert 0 <= epoch.coco.ap <= epoch.coco.ap50 <= 1
        assert epoch.coco.ap50 == pytest.approx(epoch.map, abs=0.05)
        assert len(attrs.astuple(epoch.coco)) == len(FIGURES)
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert command(capsys, "train", "--resume", "--epochs", 3, *common).status == 0
    assert len(list((out / "tensorboard").iterdir())) == 2
    assert [epoch.epoch for epoch in open_run(out).log()] == [1, 2, 3]


def test_a_run_whose_log_is_older_goes_on(capsys, tmp_path, tiny_shapes):
    out = tmp_path / "run"
    assert command(capsys, "train", *TINY, "--data", tiny_shapes, "--epochs", 1,
                   "--batch-size", 8, "--out", out).status == 0
    lines = (out / "log.csv").read_text().splitlines()
    (out / "log.csv").write_text("".join(
        ",".join(line.split(",")[:9]) + "\n" for line in lines))
    assert open_run(out).log()[0].coco is None
    assert command(capsys, "train", "--resume", "--epochs", 2, "--out", out).status == 0
    first, second = open_run(out).log()
    assert first.coco is None
    assert second.coco is not None
