"""The boxes of folders and of record files, and what is said about their sizes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from ssdreg.data import Box, Dataset, Sample, open_eval, open_rec, pack, read_voc
from ssdreg.data.boxes import QUANTILES, boxes, describe
from ssdreg.errors import DataError
from ssdreg.mx import mx

CLASSES = ("cat", "dog")


def write_rec(path, *labels):
    writer = mx.recordio.MXRecordIO(os.fspath(path), "w")
    for label in labels:
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, label, 0, 0), b"an image"))
    writer.close()
    return path


@pytest.fixture
def dataset(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (40, 20)).save(tmp_path / name)
    found = (Box("dog", 10, 5, 30, 20), Box("cat", 0, 0, 40, 10, True))
    return Dataset(tmp_path, "train", CLASSES,
                   (Sample(tmp_path / "a.jpg", 40, 20, found),
                    Sample(tmp_path / "b.jpg", 40, 20),
                    Sample(tmp_path / "c.jpg", 40, 20, found[:1])))


def test_boxes_are_shares_of_their_image(dataset):
    dog, cat = [1, 0.25, 0.25, 0.75, 1], [0, 0, 0, 1, 0.5]
    found = boxes(dataset)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [dog, cat, dog])


def test_a_packed_data_set_has_the_same_boxes(dataset, tiny_shapes):
    for each in (dataset, read_voc(tiny_shapes, "train")):
        # records hold float32
        np.testing.assert_allclose(boxes(pack(each)), boxes(each), atol=1e-7)


def test_the_boxes_are_those_that_training_reads(tiny_shapes):
    packed = pack(read_voc(tiny_shapes, "val"))
    batches = open_eval(packed, (32, 32), 2)
    try:
        labels = np.concatenate([batch.label[0].asnumpy()[:2 - batch.pad] for batch in batches])
    finally:
        batches.close()
    read = labels.reshape(-1, labels.shape[-1])
    np.testing.assert_allclose(boxes(packed), read[read[:, 0] >= 0, :5], atol=1e-6)


def test_records_with_wider_headers_and_objects(tmp_path):
    rec = write_rec(tmp_path / "wide.rec",
                    # header of 4, objects of 7; the second one encloses nothing
                    [4, 7, 0, 0, 1, .1, .2, .3, .6, 0, 9, 0, .5, .5, .5, .9, 0, 9],
                    [4, 7, 0, 0, 0, .0, .0, 1., 1., 1, 9])
    np.testing.assert_allclose(boxes(open_rec(rec)), [[1, .1, .2, .3, .6], [0, 0, 0, 1, 1]],
                               atol=1e-7)


def test_no_box_at_all_is_refused(dataset, tmp_path):
    rec = write_rec(tmp_path / "none.rec", [2, 5, -1, 0, 0, 0, 0])
    with pytest.raises(DataError, match=r"none\.rec: these images have no box"):
        boxes(open_rec(rec))
    empty = Dataset(dataset.root, "train", CLASSES, dataset.samples[1:2])
    with pytest.raises(DataError, match="these images have no box"):
        boxes(empty)


def test_sides_are_counted_and_measured():
    rows = np.array([[2, 0, 0, side, side / 2] for side in np.linspace(0.1, 0.9, 81)]
                    + [[0, 0.5, 0.5, 0.6, 0.52]])
    found = describe(rows, ("cat", "dog", "owl"))
    assert found.classes == (("cat", 1), ("dog", 0), ("owl", 81))
    assert found.boxes == 82
    assert found.smallest == pytest.approx((0.1, 0.02))
    assert len(found.widths) == len(found.heights) == len(QUANTILES)
    assert (found.widths[0], found.widths[-1]) == pytest.approx((0.1, 0.9))
    assert found.widths[QUANTILES.index(0.5)] == pytest.approx(0.5, abs=0.01)
    assert found.heights[QUANTILES.index(0.5)] == pytest.approx(0.25, abs=0.005)
    assert list(found.widths) == sorted(found.widths)
