"""Files for TensorBoard, read back record by record."""

from __future__ import annotations

import math
import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

from ssdreg.errors import DependencyError
from ssdreg.metrics.coco import FIGURES, CocoFigures
from ssdreg.runs.log import Epoch
from ssdreg.runs.tensorboard import EventLog, curves


def events_of(folder):
    """Read the events of all files in a folder: a length, its checksum, the event, its checksum."""
    for file in sorted(folder.iterdir()):
        content, place = file.read_bytes(), 0
        while place < len(content):
            length, = struct.unpack_from("<Q", content, place)
            yield Event.FromString(content[place + 12:place + 12 + length])
            place += length + 16


def scalars(folder):
    return [(event.step, value.tag, value.simple_value)
            for event in events_of(folder) for value in event.summary.value]


def epoch(number, **changes):
    return Epoch(**{"epoch": number, "steps": 10 * number, "seconds": 1.0, "lr": 0.25,
                    "images_per_second": 40.0, "cls_loss": 4.5, "loc_loss": 1.5, **changes})


def test_what_was_measured_is_a_curve():
    names = dict(curves(epoch(1)))
    assert names == {"loss/classification": 4.5, "loss/localization": 1.5,
                     "training/learning_rate": 0.25, "training/images_per_second": 40.0}
    figures = CocoFigures(*[0.5] * 11, math.nan)
    measured = dict(curves(epoch(1, map=0.5, map_07=0.25, coco=figures)))
    assert measured == {**names, "VOC/mAP": 0.5, "VOC/mAP_2007": 0.25,
                        **{f"COCO/{name}": 0.5 for name in FIGURES[:-1]}}


def test_values_are_on_the_disk_after_every_epoch(tmp_path):
    folder = tmp_path / "run" / "tensorboard"
    log = EventLog(folder)
    assert not folder.exists()
    for number in (1, 2):
        log.add(epoch(number, map=0.5 * number))
        found = scalars(folder)
        assert [step for step, tag, _ in found if tag == "VOC/mAP"] == list(range(1, number + 1))
        # not even a name is changed on the way
        assert {tag for _, tag, _ in found} == {name for name, _ in curves(epoch(1, map=0.5))}
    log.close()
    assert (2, "VOC/mAP", 1.0) in scalars(folder)


def test_going_on_hides_what_is_written_anew(tmp_path):
    for first in (1, 2):
        log = EventLog(tmp_path)
        log.add(epoch(first))
        log.close()
    # TensorBoard drops what is older and not before the step of such a mark
    starts = [event.step for event in events_of(tmp_path)
              if event.session_log.status == event.session_log.START]
    assert starts == [1, 2]


def test_without_the_package_a_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DependencyError, match=r"run `pip install .*tensorboard"):
        EventLog(tmp_path)
