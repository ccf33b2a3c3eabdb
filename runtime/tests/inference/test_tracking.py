"""Objects that keep their number from frame to frame."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.backends import installed
from ssdreg_runtime.boxes.detections import from_rows
from ssdreg_runtime.cli.main import main
from ssdreg_runtime.draw.layout import plan_frame
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.errors import DependencyError
from ssdreg_runtime.inference.tracking import Tracker

CLASSES = ("cat", "dog")


@pytest.fixture
def trackers():
    return pytest.importorskip("trackers", reason="the package trackers is not installed")


def frame(*objects):
    """Return objects (class, score, left, top) of a tenth of the picture's sides."""
    return from_rows([[label, score, x, y, x + .1, y + .1] for label, score, x, y in objects],
                     (1000, 1000), CLASSES, "a frame")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning",
                            "ignore::FutureWarning")
def test_numbers_stay_with_what_moves(trackers):
    tracker = Tracker(0.5, 25)
    found = [tracker.update(frame((0, .9 - step / 100, .1 + step / 100, .1),
                                  (1, .8, .8 - step / 100, .6), (0, .05, .4, .9)))
             for step in range(12)]
    last = found[-1]
    assert last.names == ("dog", "cat", "cat")
    dog, cat, nothing = last.ids
    assert (nothing, len({dog, cat, -1})) == (-1, 3)
    for each in found[3:]:
        assert dict(zip(each.names[:2], each.ids)) == {"dog": dog, "cat": cat}
    # one that is hidden for a while comes back under its number
    for _ in range(5):
        assert tracker.update(frame((1, .8, .68, .6))).ids.tolist() == [dog]
    back = tracker.update(frame((1, .8, .68, .6), (0, .7, .27, .1)))
    assert dict(zip(back.names, back.ids)) == {"dog": dog, "cat": cat}
    assert tracker.update(frame()).ids.tolist() == []
    assert last.to_dict()["objects"][0]["track"] == dog
    assert "track" not in last.to_dict()["objects"][2]
    assert last.above(.2).ids.tolist() == [dog, cat]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning",
                            "ignore::FutureWarning")
@pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is installed")
def test_a_video_on_the_command_line(trackers, tmp_path, monkeypatch, capsys):
    pytest.importorskip("av", reason="PyAV, which reads videos, is not installed")
    from runtime_support.videos import colors, write_video
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    onnx.save(tiny_model(), "tiny.onnx")
    write_video(tmp_path / "clip.mp4", colors(6))
    assert main(["tiny.onnx", "clip.mp4", "--track", "--json-lines"]) == 0
    lines = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert len(lines) == 6
    assert any("track" in each for line in lines for each in line["objects"])
    assert main(["tiny.onnx", "clip.mp4", "--track", "--out", "drawn.mp4"]) == 0


def test_the_number_stands_behind_the_name():
    found = frame((0, .9, .1, .1), (1, .8, .5, .5))
    layout = plan_frame((400, 300), found.rows, CLASSES, 0.5, Look(), ids=np.array([7, -1]))
    assert [mark.ending for mark in layout.marks] == [" #7 0.90", " 0.80"]
    hidden = plan_frame((400, 300), found.rows, CLASSES, 0.5, Look(hide_scores=True),
                        ids=np.array([7, 8]))
    assert [mark.ending for mark in hidden.marks] == [" #7", " #8"]


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(DependencyError, match=r"following objects needs the package trackers, "
                                              r"which is not installed: run `pip install"):
        Tracker(0.5, 25)
