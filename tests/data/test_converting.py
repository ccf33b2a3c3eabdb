"""Data sets written in another format, and read back: the same boxes, pictures, order, classes."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
import yaml
from PIL import Image
from support import drawn, paths, voc
from support.drawn import CLASSES, FORMATS
from support.runs import SIDE, SMALL

import ssdreg
from ssdreg.data import available_splits, load, open_rec, read_dataset
from ssdreg.data import writing as writing_package
from ssdreg.data.converting import convert
from ssdreg.data.recordio import index_records, objects_of
from ssdreg.data.writing import WRITERS
from ssdreg.errors import DataError

BCCD = paths.SHARED / "data" / "bccd"


def table(dataset):
    """All that a data set says: pictures and boxes in their order."""
    return [(sample.image.stem, sample.width, sample.height,
             [(box.label, *(round(edge, 4) for edge in (box.x1, box.y1, box.x2, box.y2)))
              for box in sample.boxes]) for sample in dataset.samples]


def splits_of(folder, to):
    """The splits that are read of what was written, as data sets or packed."""
    if to == "rec":
        return {file.stem: open_rec(file) for file in sorted(folder.glob("*.rec"))}
    return {name: read_dataset(folder, name) for name in available_splits(folder)}


@pytest.mark.parametrize("to", WRITERS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_into_every_other(tmp_path, name, to):
    writer, train, val = FORMATS[name]
    source = writer(tmp_path / "source")
    written = convert(source, to=to, out=tmp_path / "written")
    assert (written.classes, written.issues, written.format) == (CLASSES, (), to)
    assert [(split.name, split.images, split.objects) for split in written.splits] == [
        (train, 3, 4), (val, 2, 3)]
    parts = splits_of(written.folder, to)
    assert sorted(parts) == sorted((train, val))
    for split, back in parts.items():
        assert back.classes == CLASSES
        wanted = read_dataset(source, split)
        if to != "rec":
            assert table(back) == table(wanted)
            continue
        index = index_records(back.rec)
        for number, sample in enumerate(wanted.samples):
            rows = [(CLASSES.index(box.label), box.x1 / sample.width, box.y1 / sample.height,
                     box.x2 / sample.width, box.y2 / sample.height, 0) for box in sample.boxes]
            np.testing.assert_allclose(objects_of(index, number), rows, atol=1e-6)


def around(source, folder):
    """Carry a data set through all formats and back; return the data sets, in order."""
    steps = {"voc": source}
    before = source
    for to in ("coco", "yolo", "voc2", "rec"):
        before = convert(before, to=to.rstrip("2"), out=folder / to).folder
        steps[to] = before
    for file in sorted(steps["rec"].glob("*.rec")):
        convert(file, to="voc", out=folder / f"back-{file.stem}")
    return steps


def assert_equal_around(steps, folder, tolerance):
    for split in available_splits(steps["voc"]):
        first = read_dataset(steps["voc"], split)
        for name in ("coco", "yolo", "voc2"):
            assert table(read_dataset(steps[name], split)) == table(first)
        back = read_dataset(folder / f"back-{split}")
        assert len(back.samples) == len(first.samples)
        for one, other in zip(first.samples, back.samples):
            assert [box.label for box in one.boxes] == [box.label for box in other.boxes]
            edges = [[(box.x1, box.y1, box.x2, box.y2) for box in sample.boxes]
                     for sample in (one, other)]
            np.testing.assert_allclose(*edges, atol=tolerance)


def first_loss(data, out, **arguments):
    result = ssdreg.train(data=data, out=out, backbone=SMALL, data_shape=SIDE, epochs=1,
                          **arguments)
    return result.epochs[0].cls_loss, result.epochs[0].loc_loss


def test_all_around_and_the_same_first_loss(tmp_path, tiny_shapes):
    steps = around(tiny_shapes, tmp_path)
    assert_equal_around(steps, tmp_path, 1e-4)
    images = len(read_dataset(tiny_shapes, "train").samples)
    losses = {}
    for name, source in steps.items():
        data = {"data": source, "split": "train", "val_split": "val"} if name != "rec" else {
            "data": source / "train.rec", "val_data": source / "val.rec"}
        losses[name] = first_loss(**data, out=tmp_path / f"run-{name}", batch_size=images)
    assert len(losses) == 5
    for losses_of_one in losses.values():
        np.testing.assert_allclose(losses_of_one, losses["voc"], rtol=1e-5)


def every_eighth(source, folder):
    """Link every eighth photo of a data set in VOC's layout, and those that it has issues with."""
    odd = {issue.file.stem for issue in read_dataset(source).issues}
    for part in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (folder / part).mkdir(parents=True)
    kept = set()
    for file in sorted((source / "ImageSets/Main").iterdir()):
        names = file.read_text(encoding="utf-8").split()
        names = [name for number, name in enumerate(names) if number % 8 == 0 or name in odd]
        (folder / "ImageSets/Main" / file.name).write_text("\n".join(names), encoding="utf-8")
        kept.update(names)
    assert odd < kept
    for name in kept:
        for file in (f"Annotations/{name}.xml", f"JPEGImages/{name}.jpg"):
            (folder / file).symlink_to(source / file)
    return folder


@pytest.mark.reference
@pytest.mark.skipif(not BCCD.is_dir(), reason="the BCCD data set is not beside the project")
def test_real_photos_all_around(tmp_path):
    photos = every_eighth(BCCD, tmp_path / "photos")
    assert_equal_around(around(photos, tmp_path), tmp_path, 1e-3)


# What is special about single pictures

def test_pictures_are_written_as_they_are_trained_on(tmp_path):
    """Upright, and in the bytes of their files where these will do."""
    root = tmp_path / "source"
    voc.add(root, "plain", ("dog", 0, 11, 5, 40, 45))
    voc.add(root, "turned", ("dog", 0, 11, 5, 40, 45), size=(100, 50))
    lying = Image.open(root / "JPEGImages/turned.jpg").copy()
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(root / "JPEGImages/turned.jpg", exif=exif)
    file = root / "Annotations/turned.xml"
    file.write_text(file.read_text().replace(
        "<annotation>", "<annotation><size><width>100</width><height>50</height></size>"))
    written = convert(root, to="coco", out=tmp_path / "coco")
    pictures = {path.name: path for path in (tmp_path / "coco/all").iterdir()}
    assert pictures["plain.jpg"].read_bytes() == (root / "JPEGImages/plain.jpg").read_bytes()
    assert Image.open(pictures["turned.jpg"]).size == (50, 100)
    assert not dict(Image.open(pictures["turned.jpg"]).getexif())
    assert table(read_dataset(written.folder)) == table(read_dataset(root))
    assert read_dataset(written.folder).issues == ()


def test_negatives_are_written_and_lost_objects_are_not(tmp_path):
    root = tmp_path / "source"
    voc.add(root, "full", ("dog", 0, 11, 5, 40, 45))
    voc.add(root, "empty")
    voc.add(root, "lost", ("dog", 0, 20, 5, 20, 5))
    for to in WRITERS:
        written = convert(root, to=to, out=tmp_path / to)
        assert (written.splits[0].images, written.splits[0].objects) == (2, 1)
        assert "none of its objects has a usable box" in str(written.issues)
        packed = load(tmp_path / to / "all.rec" if to == "rec" else tmp_path / to)
        assert (packed.images, packed.objects, packed.negatives) == (2, 1, 1)


def test_difficult_objects_and_names_of_any_script(tmp_path):
    root = tmp_path / "source"
    voc.add(root, "one", ("a &amp; b", 1, 11, 5, 40, 45), ("щука", 0, 1, 1, 9, 9))
    for to in ("voc", "coco", "yolo", "rec"):
        written = convert(root, to=to, out=tmp_path / to)
        assert written.classes == ("a & b", "щука")
        if to == "rec":
            packed = open_rec(written.folder / "all.rec")
            assert packed.classes == ("a & b", "щука")
            assert objects_of(index_records(packed.rec), 0)[:, 5].tolist() == [1, 0]
            continue
        (sample,) = read_dataset(written.folder).samples
        assert [box.label for box in sample.boxes] == ["a & b", "щука"]
        assert [box.difficult for box in sample.boxes] == [to != "yolo", False]
    assert yaml.safe_load((tmp_path / "yolo/data.yaml").read_text(encoding="utf-8"))["names"] == {
        0: "a & b", 1: "щука"}


def test_pictures_of_one_name_stay_apart(tmp_path):
    root = tmp_path / "source"
    entries = []
    for number, folder in enumerate(("day0", "day1", "DAY2")):
        path = root / folder / ("Photo.png" if number == 2 else "photo.png")
        path.parent.mkdir(parents=True)
        Image.new("RGB", (40 + number, 30), (number, 0, 0)).save(path)
        entries.append({"id": number, "file_name": f"{folder}/{path.name}", "width": 40 + number,
                        "height": 30})
    (root / "boxes.json").write_text(json.dumps({
        "images": entries, "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": number, "image_id": number, "category_id": 1,
                         "bbox": [number, 1, 9, 9]} for number in range(3)]}))
    written = convert(root, to="voc", out=tmp_path / "voc")
    found = {sample.width: sample for sample in read_dataset(written.folder).samples}
    assert {width: sample.boxes[0].x1 for width, sample in found.items()} == {40: 0, 41: 1, 42: 2}
    names = sorted(sample.image.stem for sample in found.values())
    assert names == ["DAY2_Photo", "day1_photo", "photo"]


def test_a_picture_of_two_splits_is_written_once(tmp_path):
    source = drawn.voc(tmp_path / "source")
    lists = source / "ImageSets/Main"
    (lists / "trainval.txt").write_text("five\none\nfour\n")
    for to, pictures in (("voc", "JPEGImages"), ("coco", "."), ("yolo", "images")):
        written = convert(source, to=to, out=tmp_path / to)
        assert len(list((written.folder / pictures).rglob("*.png"))) == 5
        assert table(read_dataset(written.folder, "trainval")) == table(
            read_dataset(source, "trainval"))
        assert available_splits(written.folder) == ("train", "trainval", "val")
    first, *_ = (tmp_path / "yolo/trainval.txt").read_text().splitlines()
    assert first == "./images/trainval/five.png"


# What cannot be

def test_a_folder_that_is_there_is_left_alone(tmp_path):
    source = drawn.voc(tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="full is there already, and not empty: name another"):
        convert(source, to="coco", out=tmp_path / "full")
    with pytest.raises(DataError, match="file is a file: name a folder that is not there yet"):
        convert(source, to="coco", out=tmp_path / "full/file")
    assert (tmp_path / "full/file").read_text() == "mine"
    assert convert(source, to="coco", out=tmp_path / "empty").splits[0].images == 3


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    source = drawn.voc(tmp_path / "source")
    with pytest.raises(DataError, match="no data set is written as 'vok': choose voc, coco, yolo"):
        convert(source, to="vok", out=tmp_path / "out")
    written = []

    def interrupted(file, content):
        written.append(file)
        if len(written) == 4:
            raise KeyboardInterrupt
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    monkeypatch.setattr("ssdreg.data.writing.voc.write_once", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(source, to="voc", out=tmp_path / "out")
    assert len(written) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_splits_that_are_named(tmp_path):
    source = drawn.voc(tmp_path / "source")
    written = convert(source, to="yolo", out=tmp_path / "val", split="val")
    assert [split.name for split in written.splits] == ["val"]
    with pytest.raises(DataError, match="there is no such split; the splits here are: train, val"):
        convert(source, to="yolo", out=tmp_path / "test", split="test")
    rec = convert(source, to="rec", out=tmp_path / "rec").folder / "val.rec"
    with pytest.raises(DataError, match="is one split already: leave --split val out"):
        convert(rec, to="voc", out=tmp_path / "again", split="val")


def test_damaged_pictures_are_said_and_left_out(tmp_path):
    source = drawn.voc(tmp_path / "source")
    picture = source / "JPEGImages/one.png"
    picture.write_bytes(picture.read_bytes()[:60])
    written = convert(source, to="coco", out=tmp_path / "coco")
    assert [split.images for split in written.splits] == [2, 2]
    assert [(issue.file.name, issue.kind) for issue in written.issues] == [
        ("one.png", "unreadable image")]


def test_the_writers_take_any_value(tmp_path):
    """Edges between pixels come back to a millionth."""
    random = np.random.default_rng(0)
    source = drawn.voc(tmp_path / "source")
    dataset = read_dataset(source, "train")
    samples = []
    for sample in dataset.samples:
        x, y = np.sort(random.uniform(0, sample.width, 2)), np.sort(
            random.uniform(0, sample.height, 2))
        samples.append(attrs.evolve(sample, boxes=(
            attrs.evolve(sample.boxes[0], x1=x[0], y1=y[0], x2=x[1], y2=y[1]),)))
    for to in ("voc", "coco", "yolo"):
        writer = writing_package.open_writer(to, tmp_path / to, CLASSES)
        for sample in samples:
            writer.add("train", writing_package.Picture(
                sample.image.name, sample.image.read_bytes(), sample.width, sample.height,
                sample.boxes))
        writer.finish()
        for wanted, back in zip(sorted(samples, key=lambda each: each.image.name), sorted(
                read_dataset(tmp_path / to, "train").samples, key=lambda each: each.image.name)):
            edges = [[getattr(sample.boxes[0], edge) for edge in ("x1", "y1", "x2", "y2")]
                     for sample in (wanted, back)]
            np.testing.assert_allclose(*edges, atol=1e-6)


def test_boxes_that_voc_cannot_hold_are_left_out_and_said(tmp_path):
    source = drawn.yolo(tmp_path / "source")
    with (source / "labels/train/three.txt").open("a") as stream:
        stream.write(f"1 0.5 0.5 {1 / 64} {10 / 64}\n")
    (source / "labels/train/two.txt").write_text(f"1 0.5 0.5 {1 / 60} {1 / 90}\n")
    written = convert(source, to="voc", out=tmp_path / "voc")
    assert {(issue.file.name, issue.object, issue.action) for issue in written.issues} == {
        ("three.png", "object 2 (dog)", "left out"), ("two.png", "object 1 (dog)", "left out")}
    assert "object 2 (dog) has 1x10 pixels, and voc holds no box of 1 pixel or less; left out" in {
        issue.detail for issue in written.issues}
    back = read_dataset(tmp_path / "voc", "train")
    assert sorted(sample.image.stem for sample in back.samples) == ["one", "three"]
    assert back.issues == ()
    assert convert(source, to="coco", out=tmp_path / "coco").issues == ()


@pytest.mark.parametrize("to", ["voc", "yolo", "coco"])
def test_a_picture_with_other_boxes_in_another_split_is_two(tmp_path, to):
    source = drawn.coco(tmp_path / "source")
    file = source / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["images"].append({"id": 9, "file_name": "one.png", "width": 80, "height": 60})
    content["annotations"].append({"id": 99, "image_id": 9, "category_id": 3,
                                   "bbox": [20, 10, 30, 30]})
    file.write_text(json.dumps(content))
    (source / "val2017/one.png").unlink(missing_ok=True)
    before = {name: [boxes for *_, boxes in table(read_dataset(source, name))]
              for name in available_splits(source)}
    convert(source, to=to, out=tmp_path / "out")
    after = {name: [boxes for *_, boxes in table(read_dataset(tmp_path / "out", name))]
             for name in available_splits(tmp_path / "out")}
    assert list(map(sorted, after.values())) == list(map(sorted, before.values()))


def test_the_lists_of_one_class_are_no_splits(tmp_path):
    """VOC has a list for each class beside each split, with all its pictures."""
    source = drawn.voc(tmp_path / "source")
    for label in CLASSES:
        drawn.write(source / f"ImageSets/Main/{label}_train.txt", "one  1\ntwo -1\nthree 0\n")
    assert len(available_splits(source)) == 4
    written = convert(source, to="coco", out=tmp_path / "out")
    assert [split.name for split in written.splits] == ["train", "val"]


def test_data_yaml_leaves_its_folder_to_itself(tmp_path):
    """Ultralytics takes "." as the folder that it is started in, and finds nothing."""
    convert(drawn.voc(tmp_path / "source"), to="yolo", out=tmp_path / "out")
    assert "path" not in yaml.safe_load((tmp_path / "out/data.yaml").read_text())


def test_a_list_is_read_from_its_own_folder(tmp_path, monkeypatch):
    """Not from the folder that somebody works in, where another data set may lie."""
    for name in ("here", "there"):
        root = drawn.yolo(tmp_path / name)
        (root / "data.yaml").write_text("train: train.txt\nnames: [cat, dog]\n")
        (root / "train.txt").write_text("./images/train/one.png\n")
    monkeypatch.chdir(tmp_path / "here")
    sample, = read_dataset(tmp_path / "there").samples
    assert sample.image == tmp_path / "there/images/train/one.png"
