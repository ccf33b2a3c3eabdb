"""LabelMe: shapes of all kinds, names of pictures, and what is broken in it."""

from __future__ import annotations

import json

import pytest
from support import drawn
from support.drawn import TRAIN, draw, labelme_json, write

from ssdreg.data import read_dataset


@pytest.fixture
def root(tmp_path):
    draw(tmp_path, TRAIN)
    for each in TRAIN:
        write(tmp_path / f"{each.name}.json", json.dumps(labelme_json(each)))
    return tmp_path


def change(root, name, **values):
    content = json.loads((root / f"{name}.json").read_text())
    content.update(values)
    write(root / f"{name}.json", json.dumps(content))


def shape(kind, *points, label="dog"):
    return {"label": label, "points": list(points), "shape_type": kind}


@pytest.mark.parametrize(("kind", "points", "words"), [
    ("rectangle", ([0, 0], [30, 30]), ""), ("rectangle", ([30, 0], [0, 30]), ""),
    ("rectangle", ([0, 0], [30, 0], [30, 30], [0, 30]), ""),
    ("polygon", ([0, 0], [30, 5], [12, 30]), "has a polygon and no box"),
    ("circle", ([15, 15], [30, 15]), "has a circle and no box"),
    ("linestrip", ([0, 0], [30, 30]), "has a linestrip and no box")])
def test_shapes(root, kind, points, words):
    change(root, "two", shapes=[shape(kind, *points)])
    found = read_dataset(root)
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)
    assert [issue.action for issue in found.issues] == (["put right"] if words else [])
    assert all(words in issue.detail for issue in found.issues)


def test_a_point_encloses_nothing(root):
    change(root, "one", shapes=[shape("point", [5, 5]), *labelme_json(TRAIN[0])["shapes"]])
    found = read_dataset(root)
    assert drawn.kinds(found) == [("one.json", "empty box", "left out")]


@pytest.mark.parametrize("path", ["..\\photos\\two.png", "/home/me/two.png", "two.jpg", "", None])
def test_names_of_pictures(root, path):
    change(root, "two", imagePath=path)
    found = read_dataset(root)
    assert (found.issues, len(found.samples)) == ((), 3)


def test_a_name_that_is_anothers(root):
    change(root, "two", imagePath="one.png")
    found = read_dataset(root)
    assert drawn.kinds(found) == [("two.json", "file name differs", "left out")]
    assert [sample.image.stem for sample in found.samples] == ["one", "three"]


@pytest.mark.parametrize(("values", "sentence"), [
    ({"shapes": [{"points": [[1, 1], [9, 9]]}]}, "shape 1 has no label"),
    ({"shapes": [shape("rectangle", [1, None], [3, 9])]}, "shape 1 (dog): its outline has no usab"),
    ({"shapes": [shape("rectangle", [1], [3, 9])]}, "shape 1 (dog) has points that are none"),
    ({"shapes": [shape("circle", [1, 1])]}, "shape 1 (dog): a circle is a center and a point"),
    ({"shapes": {}}, "it has no list of shapes")])
def test_a_broken_file_leaves_its_image_out(root, values, sentence):
    change(root, "two", **values)
    found = read_dataset(root)
    assert drawn.kinds(found) == [("two.json", "unreadable annotation", "left out")]
    assert sentence in found.issues[0].detail
    assert len(found.samples) == 2


def test_no_json(root):
    (root / "two.json").write_text('{"shapes": [')
    found = read_dataset(root)
    assert drawn.kinds(found) == [("two.json", "unreadable annotation", "left out")]
