"""SageMaker's two formats: the augmented manifest, and a JSON file a picture."""

from __future__ import annotations

import json

import pytest
from support import drawn
from support.drawn import TRAIN, draw, manifest_line, write

from ssdreg.data import available_splits, read_dataset
from ssdreg.errors import DataError


def manifest(root, *lines):
    draw(root, TRAIN)
    return write(root / "output.manifest", "".join(f"{line}\n" for line in lines))


def entries():
    return [json.loads(manifest_line(each)) for each in TRAIN]


def test_a_manifest_without_a_split(tmp_path):
    file = manifest(tmp_path, *map(manifest_line, TRAIN))
    assert available_splits(tmp_path) == ()
    for path in (tmp_path, file):
        assert drawn.boxes_of(read_dataset(path)) == drawn.drawn_boxes(TRAIN)


def test_classes_without_names(tmp_path):
    lines = entries()
    for each in lines:
        del each["pets-metadata"]
    manifest(tmp_path, *map(json.dumps, lines))
    assert read_dataset(tmp_path).classes == ("class0", "class1")


@pytest.mark.parametrize(("change", "kind", "sentence"), [
    (lambda e: e.pop("pets"), "unreadable annotation", "line 2: it has no attribute with annot"),
    (lambda e: e.update(more=e["pets"]), "unreadable annotation", "line 2: it has several attrib"),
    (lambda e: e.pop("source-ref"), "unreadable annotation", "line 2: it has no source-ref"),
    (lambda e: e.update({"source-ref": "s3://b/nowhere.png"}), "missing image", "nowhere.png"),
    (lambda e: e["pets"]["annotations"][0].pop("left"), "unreadable annotation",
     "line 2: annotation 1 (dog) has no four numbers"),
    (lambda e: e["pets"]["annotations"][0].update(class_id=2.7), "unreadable annotation",
     "line 2: annotation 1 has no class_id that is a whole number")])
def test_a_broken_line(tmp_path, change, kind, sentence):
    lines = entries()
    change(lines[1])
    manifest(tmp_path, *map(json.dumps, lines))
    found = read_dataset(tmp_path)
    assert drawn.kinds(found) == [("output.manifest", kind, "left out")]
    assert sentence in found.issues[0].detail
    assert [sample.image.stem for sample in found.samples] == ["one", "three"]


def test_a_line_that_is_cut(tmp_path):
    manifest(tmp_path, manifest_line(TRAIN[0]), manifest_line(TRAIN[1])[:50])
    found = read_dataset(tmp_path)
    assert "line 2: it is no JSON, or it is truncated" in found.issues[0].detail


def test_a_class_that_has_no_name(tmp_path):
    lines = entries()
    lines[0]["pets"]["annotations"][0]["class_id"] = 9
    manifest(tmp_path, *map(json.dumps, lines))
    found = read_dataset(tmp_path)
    assert [(issue.kind, issue.object) for issue in found.issues] == [
        ("unknown class", "object 1 (class 9)")]


def test_a_json_file_a_picture(tmp_path):
    root = drawn.sagemaker(tmp_path)
    file = root / "train_annotation" / "two.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["top"] = "x"
    file.write_text(json.dumps(content))
    (root / "train_annotation" / "three.json").write_text('{"file": "image_size" "annotations"')
    found = read_dataset(root, "train")
    assert drawn.kinds(found) == [("three.json", "unreadable annotation", "left out"),
                                  ("two.json", "unreadable annotation", "left out")]
    with pytest.raises(DataError, match="no split 'test'; the splits here are: train, validation"):
        read_dataset(root, "test")
