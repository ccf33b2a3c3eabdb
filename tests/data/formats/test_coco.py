"""COCO: crowds, outlines, numbers with holes, files in folders, and what is broken in it."""

from __future__ import annotations

import json

import pytest
from support import drawn
from support.drawn import CLASSES, TRAIN, VAL, coco_json, draw, write

from ssdreg.data import available_splits, read_dataset
from ssdreg.errors import DataError

NAME = "annotations.json"


@pytest.fixture
def content():
    return coco_json(TRAIN)


def save(root, content, name=NAME):
    if not any(root.glob("*.png")):
        draw(root, TRAIN)
    write(root / name, json.dumps(content))
    return root


def test_one_file_has_no_splits(tmp_path, content):
    save(tmp_path, content)
    assert available_splits(tmp_path) == ()
    for path in (tmp_path, tmp_path / NAME):
        assert drawn.boxes_of(read_dataset(path)) == drawn.drawn_boxes(TRAIN)


def test_a_file_that_is_named_finds_pictures_beside_its_folder(tmp_path, content):
    draw(tmp_path / "images", TRAIN)
    write(tmp_path / "annotations" / "instances.json", json.dumps(content))
    found = read_dataset(tmp_path / "annotations" / "instances.json")
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)


@pytest.mark.parametrize(("names", "splits"), [
    (("instances_train.json", "instances_val.json"), ("train", "val")),
    (("train.json", "test.json"), ("test", "train")),
    (("annotations_train.json", "annotations_valid.json"), ("train", "valid")),
    (("train/_annotations.coco.json", "valid/_annotations.coco.json"), ("train", "valid"))])
def test_names_of_splits(tmp_path, names, splits):
    for name, pictures in zip(names, (TRAIN, VAL)):
        folder = tmp_path / name.split("/")[0] if "/" in name else tmp_path / "images"
        draw(folder, pictures)
        write(tmp_path / name, json.dumps(coco_json(pictures)))
    # other annotations of the same pictures, without categories
    write(tmp_path / "captions_train.json", json.dumps({"images": [], "annotations": []}))
    assert available_splits(tmp_path) == splits
    assert drawn.boxes_of(read_dataset(tmp_path, "train")) == drawn.drawn_boxes(TRAIN)


def test_file_names_with_folders(tmp_path, content):
    for place, entry in enumerate(content["images"]):
        folder = f"day{place}"
        draw(tmp_path / "images" / folder, [TRAIN[place]])
        (tmp_path / "images" / folder / f"{TRAIN[place].name}.png").rename(
            tmp_path / "images" / folder / "same.png")
        entry["file_name"] = f"{folder}/same.png"
    write(tmp_path / NAME, json.dumps(content))
    found = read_dataset(tmp_path)
    assert found.issues == ()
    assert [(sample.image.parent.name, (sample.width, sample.height))
            for sample in found.samples] == [
        (f"day{place}", each.size) for place, each in enumerate(TRAIN)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings(tmp_path, content, encoding):
    draw(tmp_path, TRAIN)
    (tmp_path / NAME).write_text(json.dumps(content), encoding=encoding)
    assert drawn.boxes_of(read_dataset(tmp_path)) == drawn.drawn_boxes(TRAIN)


def test_a_crowd_is_set_aside(tmp_path, content):
    content["annotations"][0]["iscrowd"] = 1
    found = read_dataset(save(tmp_path, content))
    assert [(issue.kind, issue.object, issue.action) for issue in found.issues] == [
        ("crowd", "object 1 (cat)", "set aside")]
    assert [box.label for box in found.samples[0].boxes] == ["dog"]


@pytest.mark.parametrize("segmentation", [
    [[10, 5, 40, 5, 40, 45, 10, 45]], [[10, 5, 20, 5, 20, 45], [30, 10, 40, 45, 35, 20]],
    {"size": [60, 80], "counts": [10 * 60 + 5, *([40, 20] * 29), 40, 60 * 40 + 15]},
    {"size": [60, 80], "counts": "mask"}])
def test_objects_with_an_outline_alone(tmp_path, content, segmentation):
    if segmentation["counts"] == "mask" if isinstance(segmentation, dict) else False:
        segmentation = {"size": [60, 80], "counts": packed(
            [10 * 60 + 5, *([40, 20] * 29), 40, 60 * 40 + 15])}
    entry = content["annotations"][0]
    del entry["bbox"]
    entry["segmentation"] = segmentation
    found = read_dataset(save(tmp_path, content))
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("outline without a box", "put right")]
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)


def packed(runs):
    """Pack run lengths into letters, as COCO's API does."""
    letters = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            letters += chr(bits + (32 if more else 0) + 48)
    return letters


def test_a_category_that_only_is_the_name_of_all(tmp_path, content):
    for category in content["categories"]:
        category["supercategory"] = "pets"
    content["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    found = read_dataset(save(tmp_path, content))
    assert found.classes == CLASSES
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("class without objects", "put right")]


def test_a_category_without_objects_is_kept_and_said(tmp_path, content):
    content["categories"].append({"id": 5, "name": "owl"})
    found = read_dataset(save(tmp_path, content))
    assert found.classes == ("cat", "owl", "dog")  # in the order of their numbers
    assert [(issue.kind, issue.object, issue.action) for issue in found.issues] == [
        ("class without objects", "owl", "kept")]


def test_images_without_objects_are_there(tmp_path, content):
    content["annotations"] = content["annotations"][:2]
    found = read_dataset(save(tmp_path, content))
    assert [len(sample.boxes) for sample in found.samples] == [2, 0, 0]
    assert {(issue.kind, issue.action) for issue in found.issues} == {("no object", "kept")}


@pytest.mark.parametrize(("change", "kind", "sentence"), [
    (lambda c: c["annotations"][1].update(bbox=[50, 20, "x", 3]), "unreadable annotation",
     "annotation 2 of one.png has no usable bbox, and no outline"),
    (lambda c: c["annotations"][1].update(bbox=None), "unreadable annotation",
     "annotation 2 of one.png has no usable bbox"),
    (lambda c: c["annotations"][1].update(bbox=None, segmentation=[[1, 2, 3]]),
     "unreadable annotation", "its outline has no usable points"),
    (lambda c: c["annotations"][1].update(image_id=99), "unreadable annotation",
     "annotation 2 is of image 99, which there is not"),
    (lambda c: c["annotations"][1].update(category_id=99), "unknown class",
     "annotation 2 of one.png is of category 99, which there is not"),
    (lambda c: c["annotations"].__setitem__(1, 7), "unreadable annotation",
     "annotation 2 is no object of JSON"),
    (lambda c: c["annotations"][1].update(bbox=[50, 20, 0, 40]), "empty box", "encloses nothing"),
    (lambda c: c["annotations"][1].update(bbox=[500, 20, 30, 40]), "box outside",
     "500,20,30,40 in an image of 80x60; left out"),
])
def test_one_broken_object(tmp_path, content, change, kind, sentence):
    change(content)
    found = read_dataset(save(tmp_path, content))
    (issue,) = found.issues
    assert (issue.file.name, issue.kind, issue.action) == (NAME, kind, "left out")
    assert sentence in issue.detail
    assert issue.object
    assert [len(sample.boxes) for sample in found.samples] == [1, 1, 1]


@pytest.mark.parametrize(("change", "kind"), [
    (lambda c: c["images"][1].pop("file_name"), "unreadable annotation"),
    (lambda c: c["images"][1].update(file_name="nowhere.png"), "missing image"),
    (lambda c: c["images"][1].update(width=600, height=100), "size differs"),
])
def test_one_broken_image(tmp_path, content, change, kind):
    change(content)
    found = read_dataset(save(tmp_path, content))
    assert kind in {issue.kind for issue in found.issues if issue.action == "left out"}
    assert [sample.image.stem for sample in found.samples] == ["one", "three"]


@pytest.mark.parametrize(("text", "sentence"), [
    ('{"images": [], "annotations": [', "no JSON, or it is truncated"),
    ('{"images": {}, "annotations": [], "categories": []}', "are not lists"),
    ("[" * 100000 + '"images""annotations""categories"', "nested deeper|no JSON"),
])
def test_a_broken_file(tmp_path, text, sentence):
    draw(tmp_path, TRAIN)
    # recognised by its words, or named
    write(tmp_path / NAME, text + ' "categories"' * (text[0] == "{" and "cat" not in text))
    with pytest.raises(DataError, match=rf"{NAME}: .*({sentence})"):
        read_dataset(tmp_path, format="coco")


def test_two_files_of_one_split(tmp_path, content):
    save(tmp_path, content, "a_train.json")
    save(tmp_path, content, "b_train.json")
    with pytest.raises(DataError, match="are both of a split 'train': give the file"):
        read_dataset(tmp_path)
