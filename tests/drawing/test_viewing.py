"""Contact sheets of data sets: what is drawn on them lies where the pictures have it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from support import drawn, voc
from support.drawn import COLORS, TRAIN

from ssdreg.data import RECIPES
from ssdreg.data.converting import convert
from ssdreg.drawing.viewing import VERSIONS, view, view_issues
from ssdreg.errors import DataError


def near(pixels, color, within=30):
    return (np.abs(pixels.astype(int) - color).max(axis=-1) <= within).sum()


@pytest.fixture
def root(tmp_path):
    return drawn.voc(tmp_path / "source")


def test_samples_with_their_boxes(root, tmp_path):
    out = tmp_path / "new" / "sheet.png"
    view(root, out, split="train")
    sheet = np.asarray(Image.open(out))
    # three cells in a row; each shows its objects, and a dashed line of black around them
    assert sheet.shape[1] == 3 * (320 + 8) + 8
    assert near(sheet, COLORS["cat"]) > 2000
    assert near(sheet, COLORS["dog"]) > 2000
    assert near(sheet, (0, 0, 0)) > 500
    view(root, tmp_path / "again.png", split="train")
    assert (tmp_path / "again.png").read_bytes() == out.read_bytes()


def test_each_as_training_sees_it(root, tmp_path):
    out = tmp_path / "sheet.png"
    view(root, out, split="train", augmentation=RECIPES["light"], data_shape=(96, 96))
    sheet = np.asarray(Image.open(out))
    assert sheet.shape[1] == (1 + VERSIONS) * (320 + 8) + 8
    rows = np.array_split(sheet, len(TRAIN))
    assert all(near(row, COLORS["cat"], 80) + near(row, COLORS["dog"], 80) > 2000 for row in rows)


def test_negatives_are_shown_too(tmp_path):
    root = tmp_path / "source"
    for number in range(6):
        voc.add(root, f"full{number}", ("dog", 0, 11, 5, 40, 45))
        voc.add(root, f"empty{number}")
    out = tmp_path / "sheet.jpg"
    view(root, out, count=6, augmentation=RECIPES["none"] or RECIPES["ssd"])
    assert Image.open(out).format == "JPEG"


def test_the_worst_of_what_is_wrong(root, tmp_path):
    annotations = root / "Annotations"
    one = annotations / "one.xml"
    one.write_text(one.read_text().replace("<xmax>40</xmax>", "<xmax>11</xmax>"))
    shutil.copy(root / "JPEGImages/two.png", root / "JPEGImages/three.png")
    out = tmp_path / "worst.png"
    shown = view_issues(root, out, split="train")
    assert shown >= 1
    sheet = np.asarray(Image.open(out))
    assert sheet.shape[0] == shown * (240 + 12) + 12
    # the words of the complaint, and the box that is meant
    assert near(sheet, (214, 39, 40)) > 100
    assert view_issues(root, tmp_path / "one.png", split="train", count=1) == 1


def test_nothing_is_drawn_where_nothing_is_wrong(root, tmp_path):
    assert view_issues(root, tmp_path / "worst.png") == 0
    assert not (tmp_path / "worst.png").exists()


def test_files_that_are_no_pictures_have_a_place(root, tmp_path):
    (root / "JPEGImages/one.png").write_bytes(b"no picture")
    assert view_issues(root, tmp_path / "worst.png", split="train") == 1
    assert Image.open(tmp_path / "worst.png").height == 240 + 2 * 12


@pytest.mark.parametrize(("out", "count", "sentence"), [
    ("sheet.svg", 3, r"sheet\.svg: a contact sheet is a \.png or \.jpg file"),
    ("sheet.png", 0, "0 pictures make no sheet: 1 or more")])
def test_what_cannot_be(root, tmp_path, out, count, sentence):
    for draw in (view, view_issues):
        with pytest.raises(DataError, match=sentence):
            draw(root, tmp_path / out, count=count)


def test_a_packed_data_set(root, tmp_path):
    rec = convert(root, to="rec", out=tmp_path / "rec").folder / "train.rec"
    view(rec, tmp_path / "packed.png", augmentation=RECIPES["light"], data_shape=(64, 64))
    view(root, tmp_path / "plain.png", split="train", augmentation=RECIPES["light"],
         data_shape=(64, 64))
    packed, plain = (np.asarray(Image.open(tmp_path / name)) for name in ("packed.png",
                                                                          "plain.png"))
    # the same pictures, but for the names below them
    assert packed.shape == plain.shape
    assert (packed[:200] != plain[:200]).mean() < 0.01
    with pytest.raises(DataError, match="is one split already: leave --split train out"):
        view(rec, tmp_path / "x.png", split="train")
    with pytest.raises(DataError, match="--worst looks at what it was packed from"):
        view_issues(rec, tmp_path / "x.png")
