"""Data sets as tools wrote them, beside the project where they are there, and their neighbours."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from support import drawn, paths

from ssdreg.data import (
    Box,
    Dataset,
    Sample,
    available_splits,
    load,
    open_eval,
    open_rec,
    pack,
    read_dataset,
)
from ssdreg.data.splits import choose, open_data
from ssdreg.errors import DataError
from ssdreg.registry.preprocessing import Preprocessing

CASES = paths.SHARED / "cases"
pytestmark = [pytest.mark.reference, pytest.mark.skipif(
    not CASES.is_dir(), reason="the cases are not beside the project")]


def case(name):
    return next(CASES.glob(f"{name}-*"))


def test_upright_boxes_of_photos_on_their_side(tmp_path):
    packed = load(case("01") / "data")
    assert {(issue.kind, issue.action) for issue in packed.issues} == {
        ("orientation", "put right")}
    for batch in open_eval(packed, (120, 120), 1, Preprocessing((0, 0, 0))):
        pixels = batch.data[0].asnumpy()[0].transpose(1, 2, 0)
        label = batch.label[0].asnumpy()[0, 0]
        red, green, blue = drawn.color_in(pixels, label[1:5] * 120)
        assert red > 200
        assert max(green, blue) < 50


def test_photos_that_tell_nothing_by_themselves_are_left_out(tmp_path):
    """The square ones alone: nothing says what their boxes are on."""
    root = tmp_path / "data"
    shutil.copytree(case("01") / "data", root)
    for file in (*root.rglob("IMG_0004*"), *root.rglob("IMG_0005*"), *root.rglob("IMG_0006*"),
                 *root.rglob("IMG_0007*")):
        file.unlink()
    with pytest.raises(DataError, match=r"8? ?x? ?orientation(.|\n)*save it upright"):
        read_dataset(root)


@pytest.mark.parametrize(("name", "split", "images"), [
    ("03", "train-bom", 6), ("03", "train-utf16", 6), ("03", "val", 2), ("04", "RBC_train", 4),
    ("04", "RBC_val", 2), ("05", None, 4), ("05", "default", 4), ("06", None, 6)])
def test_lists_folders_and_side_files(name, split, images):
    root = case(name) / "data"
    found = read_dataset(root, split)
    assert len(found.samples) == images
    assert all(sample.image.suffix == ".jpg" and sample.boxes for sample in found.samples)
    assert found.classes == ("Platelets", "RBC", "WBC")
    assert all(issue.action != "left out" for issue in found.issues)
    assert split in (None, *available_splits(root))


def test_a_damaged_record_is_left_out_before_training(tmp_path):
    folder = case("09")
    good, _ = open_data(choose(folder / "good.rec"))
    damaged, _ = open_data(choose(folder / "damaged.rec"))
    assert (good.images, good.issues, damaged.images) == (40, (), 39)
    (issue,) = damaged.issues
    assert (issue.kind, issue.object, issue.action) == ("unreadable image", "record 17",
                                                        "left out")
    assert "record 17 (key 17): its image cannot be decoded; left out" in issue.detail
    numbers = [number for batch in open_eval(damaged, (32, 32), 8)
               for number in batch.index[:8 - batch.pad]]
    assert len(numbers) == 39


@pytest.mark.parametrize(("name", "sentence"), [
    ("class-1e+09.rec", r"record 0 has the class 1e\+09, and no data set has more than 30,000"),
    ("class-2.7.rec", r"record 0 has the class 2\.7; classes are whole numbers from 0")])
def test_classes_that_are_none(name, sentence):
    with pytest.raises(DataError, match=sentence):
        open_rec(case("10") / name)


@pytest.mark.parametrize(("name", "sentence"), [
    ("undecodable-200.png", "OpenCV, which MXNet decodes with, cannot decode it"),
    ("differs-486.png", "OpenCV, which MXNet decodes with, makes other pixels"),
    ("textbomb.png", "Decompressed data too large")])
def test_pictures_that_two_decoders_see_otherwise(tmp_path, name, sentence):
    good = tmp_path / "good.png"
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(good)
    box = (Box("a", 1, 1, 9, 9),)
    packed = pack(Dataset(tmp_path, "all", ("a",), (
        Sample(case("10") / name, 80, 60, box), Sample(good, 80, 60, box))))
    assert packed.images == 1
    (issue,) = packed.issues
    assert (issue.file.name, issue.kind, issue.action) == (name, "unreadable image", "left out")
    assert sentence in issue.detail


def test_an_encoding_that_nobody_knows():
    found = read_dataset(case("10") / "voc-encoding")
    assert drawn.kinds(found) == [
        ("BloodImage_00000.xml", "unreadable annotation", "left out")]
