"""Objects of some classes, and the best few."""

from __future__ import annotations

import numpy as np
import pytest
from ssdreg_runtime.boxes.detections import from_rows
from ssdreg_runtime.boxes.selection import select
from ssdreg_runtime.errors import SsdregError

CLASSES = ("cat", "dog", "cow")


@pytest.fixture
def found():
    rows = [[label, score, 0, 0, 1, 1] for label, score in (
        (0, .9), (1, .8), (2, .7), (0, .6), (1, .5))]
    return from_rows(rows, (10, 20), CLASSES, "a picture")


@pytest.mark.parametrize(("only", "most", "scores"), [
    (None, None, [.9, .8, .7, .6, .5]), (None, 2, [.9, .8]), (None, 9, [.9, .8, .7, .6, .5]),
    ("dog", None, [.8, .5]), (["cow", "cat"], None, [.9, .7, .6]), (("cow", "cat"), 2, [.9, .7]),
    ([], None, [])])
def test_what_is_kept(found, only, most, scores):
    kept = select(CLASSES, only, most).of(found)
    np.testing.assert_allclose(kept.scores, scores, rtol=1e-6)
    assert len(kept.xyxy) == len(kept.labels) == len(scores)
    assert (kept.classes, kept.size) == (CLASSES, (10, 20))


@pytest.mark.parametrize(("given", "sentence"), [
    ({"only": "dgo"}, "--only dgo: the detector has no class of that name; did you mean dog?"),
    ({"only": ["cat", "horse"]}, "--only horse: .*; there are cat, dog, cow$"),
    ({"max_det": 0}, "--max-det 0 keeps nothing: give 1 or more"),
    ({"max_det": True}, "--max-det True keeps nothing")])
def test_what_is_refused(given, sentence):
    with pytest.raises(SsdregError, match=sentence):
        select(CLASSES, **given)
