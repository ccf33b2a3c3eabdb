"""YOLO: data.yaml in its forms, folders without one, negatives, outlines, and what is broken."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image
from support import drawn
from support.drawn import CLASSES, TRAIN, VAL, draw, write, yolo_lines

from ssdreg.data import available_splits, read_dataset
from ssdreg.data.reading import recognize
from ssdreg.errors import DataError

NAMES = "names: [cat, dog]\n"


@pytest.fixture
def root(tmp_path):
    return drawn.yolo(tmp_path)


@pytest.mark.parametrize("text", [
    "train: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n",
    "train: ./images/train/\nval: ./images/val/\nnames:\n- cat\n- dog\n",
    "path: /somewhere/else/pets\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n",
    "path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames: {1: dog, 0: cat}\n",
    # as Roboflow writes it, from another folder
    "train: ../images/train\nval: ../images/val\ntest: ../images/test\nnc: 2\n" + NAMES,
    "train: /content/pets/images/train\nval: /content/pets/images/val\n" + NAMES,
    "train: C:\\pets\\images\\train\nval: C:\\pets\\images\\val\n" + NAMES,
    "train: [images/train]\nval: [images/val]\ntest:\n" + NAMES,
    "train: train.txt\nval: val.txt\ntest: null\n" + NAMES])
def test_forms_of_the_file(root, text):
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        write(root / f"{split}.txt", "".join(f"./images/{split}/{each.name}.png\r\n"
                                             for each in pictures))
    write(root / "data.yaml", text)
    for path in (root, root / "data.yaml"):
        assert available_splits(path) == ("train", "val")
        for split, pictures in (("train", TRAIN), ("val", VAL)):
            found = read_dataset(path, split)
            assert found.issues == ()
            assert found.classes == CLASSES
            assert drawn.boxes_of(found) == drawn.drawn_boxes(pictures)


def test_names_stay_the_text_that_they_are(root):
    write(root / "data.yaml", "train: images/train\nval: images/val\nnames: [no, 1.0]\n")
    assert read_dataset(root).classes == ("no", "1.0")


@pytest.mark.parametrize(("text", "sentence"), [
    ("train: images/train\nnc: 3\nnames: [cat, dog]\n", "nc is 3, but there are 2 names"),
    ("train: images/train\nnames: [cat, dog\n", "data.yaml is no YAML"),
    ("names: [cat, dog]\ntrain: nowhere\n", "train: nowhere is not there"),
    ("names: 7\ntrain: images/train\n", "names is '7', and no list"),
    ("names: [cat, cat]\ntrain: images/train\n", "more than once: cat")])
def test_a_broken_file(root, text, sentence):
    write(root / "data.yaml", text)
    with pytest.raises(DataError, match=sentence):
        read_dataset(root)


def test_the_split_that_is_not_there_stops_only_where_it_is_asked_for(root):
    shutil.rmtree(root / "images" / "val")
    assert available_splits(root) == ("train",)
    assert len(read_dataset(root, "train").samples) == len(TRAIN)
    with pytest.raises(DataError, match=r"data\.yaml: val: images/val is not there"):
        read_dataset(root, "val")


@pytest.mark.parametrize(("images", "labels"), [
    ("images", "labels"), (".", "."), ("obj_train_data", "obj_train_data"), ("photos", "labels")])
@pytest.mark.parametrize("names", ["classes.txt", "obj.names"])
def test_folders_without_the_file(tmp_path, images, labels, names):
    draw(tmp_path / images, TRAIN)
    for each in TRAIN:
        write(tmp_path / labels / f"{each.name}.txt", yolo_lines(each))
    write(tmp_path / names, "cat\ndog\n")
    assert recognize(tmp_path).name == "yolo"
    found = read_dataset(tmp_path)
    assert (found.classes, found.issues) == (CLASSES, ())
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)


def test_names_of_a_file_without_splits(tmp_path):
    drawn.yolo(tmp_path)
    write(tmp_path / "data.yaml", "nc: 2\nnames: [cat, dog]\n")
    found = read_dataset(tmp_path, "train")
    assert found.classes == CLASSES
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)
    write(tmp_path / "data.yaml", "nc: 3\nnames: [cat, dog]\n")
    with pytest.raises(DataError, match=r"data\.yaml: nc is 3, but there are 2 names"):
        read_dataset(tmp_path)


def test_classes_without_names_are_numbers(tmp_path):
    draw(tmp_path, TRAIN)
    for each in TRAIN:
        write(tmp_path / f"{each.name}.txt", yolo_lines(each))
    assert read_dataset(tmp_path).classes == ("class0", "class1")


def test_an_empty_file_is_a_negative_and_a_missing_one_is_not(root):
    (root / "labels/train/two.txt").write_text("")
    (root / "labels/train/three.txt").unlink()
    found = read_dataset(root, "train")
    assert [(sample.image.stem, len(sample.boxes)) for sample in found.samples] == [
        ("one", 2), ("two", 0)]
    assert drawn.kinds(found) == [("three.png", "missing annotation", "left out"),
                                  ("two.png", "no object", "kept")]


def test_outlines_are_boxed_with_a_word(root):
    write(root / "labels/train/two.txt", "1 0 0 0.5 0 0.5 0.33333333 0.2 0.1\n")
    found = read_dataset(root, "train")
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("outline without a box", "put right")]
    assert drawn.boxes_of(found, 2) == drawn.drawn_boxes(TRAIN)


def test_key_points_and_scores_stand_behind_the_box(root):
    file = root / "labels/train/two.txt"
    file.write_text(file.read_text().strip() + " 0.93\n")
    assert drawn.boxes_of(read_dataset(root, "train")) == drawn.drawn_boxes(TRAIN)
    yaml = root / "data.yaml"
    yaml.write_text(yaml.read_text() + "kpt_shape: [2, 3]\n")
    file.write_text(yolo_lines(TRAIN[1]).strip() + " 0.1 0.2 2 0.3 0.4 1\n")
    assert drawn.boxes_of(read_dataset(root, "train")) == drawn.drawn_boxes(TRAIN)


@pytest.mark.parametrize(("line", "sentence"), [
    ("0 O.5 0.5 0.1 0.1", "line 1 is no row of numbers: '0 O.5"),
    ("dog 0.5 0.5 0.1 0.1", "line 1 is no row of numbers"),
    ("0.5 0.5 0.1 0.1 0.1", "line 1 begins with 0.5, which is no number of a class"),
    ("-1 0.5 0.5 0.1 0.1", "line 1 begins with -1"),
    ("0 0.5 0.5 0.1", "line 1 has 4 numbers: a class and a box are 5"),
    ("0 nan 0.5 0.1 0.1", "line 1 has numbers that are none")])
def test_a_broken_line_leaves_the_image_out(root, line, sentence):
    (root / "labels/train/two.txt").write_text(line)
    found = read_dataset(root, "train")
    assert drawn.kinds(found) == [("two.txt", "unreadable annotation", "left out")]
    assert sentence in found.issues[0].detail
    assert [sample.image.stem for sample in found.samples] == ["one", "three"]


@pytest.mark.parametrize(("line", "kind", "action"), [
    ("0 30 30 20 20", "pixels and shares mixed up", "left out"),
    ("7 0.5 0.5 0.1 0.1", "unknown class", "left out"),
    ("0 0.5 0.5 0 0.1", "empty box", "left out"),
    ("0 1.2 0.5 0.1 0.1", "box outside", "left out"),
    ("0 0.5 0.5 1.2 0.1", "box outside", "put right"),
    ("0 0.5 0.5 -0.1 0.1", "box turned around", "put right")])
def test_a_broken_object(root, line, kind, action):
    file = root / "labels/train/one.txt"
    file.write_text(file.read_text() + line)
    found = read_dataset(root, "train")
    assert [(issue.file.name, issue.kind, issue.action) for issue in found.issues] == [
        ("one.txt", kind, action)]
    assert found.issues[0].object.startswith("object 3 (")
    assert len(found.samples[0].boxes) == (2 if action == "left out" else 3)


def test_classes_that_are_counted_from_1_are_refused(root):
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        for each in pictures:
            file = root / "labels" / split / f"{each.name}.txt"
            file.write_text("".join(f"{int(line[0]) + 1}{line[1:]}\n"
                                    for line in file.read_text().splitlines()))
    with pytest.raises(DataError, match="no object is of class 0 and some are of class 2, as if"):
        read_dataset(root)


def test_pixels_all_over_stop_with_that_sentence(root):
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        for each in pictures:
            write(root / "labels" / split / f"{each.name}.txt", "0 30 30 20 20\n1 20 20 9 9\n")
    with pytest.raises(DataError, match="6 of 6 boxes are in pixels where shares of the picture "
                                        "are expected; write them as shares"):
        read_dataset(root, "train")


def test_photos_are_upright_as_its_own_programs_have_them(root):
    """No size is stated, but who reads YOLO turns photos upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = drawn.picture(TRAIN[0])
    upright.transpose(Image.Transpose.ROTATE_90).save(root / "images/train/one.png", exif=exif)
    found = read_dataset(root, "train")
    assert drawn.kinds(found) == [("one.png", "orientation", "put right")]
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)
