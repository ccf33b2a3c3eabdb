"""What was found in one image: pixels, names, plain values, and other packages' classes."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from ssdreg_runtime import DataError, DependencyError
from ssdreg_runtime.boxes.detections import failed_detections, from_rows

CLASSES = ("cat", "dog")
ROWS = [(1, 0.9, 0.1, 0.2, 0.5, 1.0),
        (-1, 0.8, 0, 0, 1, 1),
        (0, 0.25, -0.5, 0, 1.5, 0.75),
        (-1, -1, -1, -1, -1, -1)]


@pytest.fixture
def found():
    return from_rows(ROWS, (200, 100), CLASSES, "image 0")


def test_rows_become_pixels_inside_the_image(found):
    assert found.xyxy.tolist() == [[20, 20, 100, 100], [0, 0, 200, 75]]
    assert found.scores.tolist() == [np.float32(0.9), 0.25]
    assert found.labels.tolist() == [1, 0]
    assert (found.xyxy.dtype, found.scores.dtype, found.labels.dtype) == (
        np.float32, np.float32, np.int64)
    assert (len(found), found.names, found.size, found.error) == (2, ("dog", "cat"), (200, 100), "")


def test_rows_that_are_not_sorted_come_best_first():
    rows = [(0, 0.2, 0, 0, 1, 1), (1, 0.5, 0, 0, 1, 1), (0, 0.5, 0, 0, 1, 1)]
    # of equals the first stays the first
    assert from_rows(rows, (10, 10), CLASSES, "image 0").labels.tolist() == [1, 0, 0]


def test_rows_go_back_to_shares(found):
    assert found.rows.dtype == np.float32
    assert np.allclose(found.rows, [(1, 0.9, 0.1, 0.2, 0.5, 1), (0, 0.25, 0, 0, 1, 0.75)])


def test_above_keeps_the_threshold_itself(found):
    assert found.above(0.25).names == ("dog", "cat")
    few = found.above(0.26)
    assert (few.names, few.xyxy.tolist(), few.size) == (("dog",), [[20, 20, 100, 100]], (200, 100))
    assert len(found.above(1)) == 0
    assert found.above(1).xyxy.shape == (0, 4)
    assert len(found) == 2


def test_plain_values_are_json(found):
    assert json.loads(json.dumps(found.to_dict())) == {
        "width": 200, "height": 100, "objects": [
            {"class": "dog", "score": 0.9, "box": [20, 20, 100, 100]},
            {"class": "cat", "score": 0.25, "box": [0, 0, 200, 75]}]}


def test_an_image_that_failed_says_why():
    bad = failed_detections("image 3: one.jpg is not there", CLASSES)
    assert (len(bad), bad.names, bad.xyxy.shape, bad.rows.shape) == (0, (), (0, 4), (0, 6))
    assert bad.to_dict() == {"width": 0, "height": 0, "objects": [],
                             "error": "image 3: one.jpg is not there"}
    assert repr(bad) == "<Detections: image 3: one.jpg is not there>"


def test_they_are_told_apart_by_identity_and_do_not_change(found):
    assert found == found
    assert found != from_rows(ROWS, (200, 100), CLASSES, "image 0")
    assert len({found, found}) == 1
    with pytest.raises(AttributeError):
        found.size = (1, 1)


def test_a_short_repr(found):
    assert repr(found) == "<Detections 2 in 200x100: dog 0.90, cat 0.25>"
    many = from_rows([ROWS[0]] * 7, (200, 100), CLASSES, "image 0")
    assert repr(many).endswith("dog 0.90, dog 0.90, ...>")
    assert repr(from_rows([], (2, 1), CLASSES, "image 0")) == "<Detections 0 in 2x1: >"


@pytest.mark.parametrize(("row", "sentence"), [
    ((0, np.nan, 0, 0, 1, 1), "image 4: the detections hold a number that is not finite"),
    ((0, 0.5, 0, 0, np.inf, 1), "not finite"),
    ((2, 0.5, 0, 0, 1, 1), "image 4: the detections name class 2, but there are 2 class names"),
])
def test_rows_that_mean_nothing_are_refused(row, sentence):
    with pytest.raises(DataError, match=sentence):
        from_rows([row], (10, 10), CLASSES, "image 4")


# The package supervision

def test_supervision_gets_the_same_boxes(found):
    supervision = pytest.importorskip("supervision", reason="the package supervision is not "
                                                               "installed")
    theirs = found.to_supervision()
    assert isinstance(theirs, supervision.Detections)
    assert theirs.xyxy.tolist() == found.xyxy.tolist()
    assert theirs.confidence.tolist() == found.scores.tolist()
    assert theirs.class_id.tolist() == [1, 0]
    assert theirs.data["class_name"].tolist() == ["dog", "cat"]
    assert theirs[theirs.confidence > 0.5].data["class_name"].tolist() == ["dog"]
    nothing = failed_detections("image 0: bad", CLASSES).to_supervision()
    assert len(nothing) == 0
    assert supervision.Detections.merge([theirs, theirs]).xyxy.shape == (4, 4)


def test_without_supervision_a_sentence_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(DependencyError, match="run `pip install supervision`"):
        found.to_supervision()
