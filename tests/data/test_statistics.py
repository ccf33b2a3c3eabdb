"""What a data set is made of, in numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from support import drawn, voc
from support.drawn import FORMATS

from ssdreg.data.converting import convert
from ssdreg.data.statistics import measure_dataset
from ssdreg.errors import DataError


@pytest.mark.parametrize("name", FORMATS)
def test_the_drawn_data_set(tmp_path, name):
    writer, *splits = FORMATS[name]
    measured = measure_dataset(writer(tmp_path))
    assert [split.name for split in measured.splits] == sorted(splits)
    train, val = measured.splits
    assert (train.images, train.negatives, len(train.boxes)) == (3, 0, 4)
    assert train.classes == (("cat", 2, 2), ("dog", 2, 2))
    assert val.classes == (("cat", 2, 1), ("dog", 1, 1))
    np.testing.assert_allclose(sorted(train.boxes[:, :2].round().tolist()),
                               [[24, 32], [30, 30], [30, 40], [30, 40]])
    np.testing.assert_allclose(train.boxes[:, :2], train.boxes[:, :2].round(), atol=1e-3)
    assert sorted(train.objects) == [1, 1, 2]
    assert dict(val.sizes) == {(80, 60): 1, (100, 50): 1}
    assert train.by_area == {"small": 2, "medium": 2, "large": 0}
    np.testing.assert_allclose(sorted(train.aspects), [0.75, 0.75, 0.75, 1.0], rtol=1e-4)
    quantiles = train.quantiles()
    assert quantiles["height in pixels"][0] == pytest.approx(30, rel=1e-4)
    assert quantiles["width in pixels"][-1] == pytest.approx(30, rel=1e-4)
    assert quantiles["objects a picture"][3] == 1


def test_a_record_file_says_the_same(tmp_path):
    source = drawn.voc(tmp_path / "source")
    rec = convert(source, to="rec", out=tmp_path / "rec").folder / "train.rec"
    (packed,), (plain, _) = measure_dataset(rec).splits, measure_dataset(source).splits
    np.testing.assert_allclose(packed.boxes, plain.boxes, rtol=1e-5)
    assert packed.classes == plain.classes
    assert dict(packed.sizes) == dict(plain.sizes)
    with pytest.raises(DataError, match="is one split already: leave --split train out"):
        measure_dataset(rec, split="train")


def test_negatives_and_one_split(tmp_path):
    voc.add(tmp_path, "full", ("dog", 0, 1, 1, 100, 50))
    voc.add(tmp_path, "empty")
    voc.add(tmp_path, "lost", ("dog", 0, 20, 5, 20, 5))
    (whole,) = measure_dataset(tmp_path).splits
    assert (whole.name, whole.images, whole.negatives, len(whole.boxes)) == ("", 3, 1, 1)
    assert whole.boxes.tolist() == [[100, 50, 1, 1]]
    told = measure_dataset(tmp_path).to_dict()["splits"][0]
    assert (told["split"], told["images"], told["negatives"]) == (None, 3, 1)
    assert told["classes"] == {"dog": {"objects": 1, "images": 1}}
    assert told["image_sizes"] == [{"width": 100, "height": 50, "images": 3}]
