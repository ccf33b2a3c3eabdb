"""``ssdreg data check``: what it prints, how it ends; and formats through the other commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support import drawn
from support.drawn import CLASSES, FORMATS, TRAIN, VAL, draw, write
from support.records import write_rec
from support.runs import DETECTOR, command, refused

from ssdreg.data import load
from ssdreg.registry.names import list_data_formats


@pytest.mark.parametrize("name", ["voc", "coco", "yolo"])
def test_a_good_data_set(capsys, tmp_path, name):
    root = FORMATS[name][0](tmp_path)
    done = command(capsys, "data", "check", root)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == (f"{root}: {name}, 5 images with 7 objects of 2 classes")
    assert done.out.splitlines()[1] == f"splits: {', '.join(FORMATS[name][1:])}"
    assert done.out.splitlines()[-1] == "nothing is wrong with it"
    told = json.loads(command(capsys, "data", "check", root, "--json").out)
    assert told == {"data": str(root), "format": name, "splits": list(FORMATS[name][1:]),
                    "images": 5, "objects": 7, "classes": {"cat": 4, "dog": 3}, "issues": []}


def broken(root):
    write(root / "Annotations" / "one.xml", drawn.voc_xml(TRAIN[0]).replace(">11<", ">eleven<"))
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    file = root / "JPEGImages" / "two.png"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:-5000])
    write(root / "Annotations" / "five.xml", drawn.voc_xml(VAL[1]).replace(">90<", ">101<"))
    return root


def test_a_broken_data_set(capsys, tmp_path):
    root = broken(drawn.voc(tmp_path))
    done = command(capsys, "data", "check", root)
    assert (done.status, done.err) == (1, "")
    rows = [line.split("  ") for line in done.out.splitlines() if line.startswith("1 ")]
    assert [[cell.strip() for cell in row if cell.strip()][1:3] for row in rows] == [
        ["unreadable image", "left out"], ["unreadable annotation", "left out"],
        ["box outside", "put right"]]
    told = json.loads(command(capsys, "data", "check", root, "--json").out)
    assert (told["images"], told["objects"]) == (3, 4)
    assert [(issue["file"], issue["object"], issue["kind"], issue["action"])
            for issue in told["issues"]] == [
        (str(root / "Annotations/one.xml"), "", "unreadable annotation", "left out"),
        (str(root / "Annotations/five.xml"), "object 2 (cat)", "box outside", "put right"),
        (str(root / "JPEGImages/two.png"), "", "unreadable image", "left out")]
    assert "object 1 (cat) has no usable xmin; image left out" in told["issues"][0]["detail"]
    # what was put right or is only worth a look is no failure
    assert command(capsys, "data", "check", root, "--split", "val").status == 0


def test_what_training_leaves_out_is_what_was_told(capsys, tmp_path):
    root = broken(drawn.voc(tmp_path))
    told = json.loads(command(capsys, "data", "check", root, "--split", "train", "--json").out)
    packed = load(root, "train")
    assert (told["images"], told["objects"]) == (packed.images, packed.objects)
    assert [issue["detail"] for issue in told["issues"]] == [
        issue.detail for issue in packed.issues]


def test_a_data_set_that_cannot_be_used(capsys, tmp_path):
    draw(tmp_path / "a", TRAIN)
    assert refused(command(capsys, "data", "check", tmp_path), "not a data set in PASCAL VOC")
    assert refused(command(capsys, "data", "check", tmp_path / "nowhere"), "no such folder")
    assert refused(command(capsys, "data", "check", tmp_path / "nowhere.rec"), "no such .rec file")
    root = drawn.voc(tmp_path / "b")
    for file in (root / "JPEGImages").iterdir():
        file.write_bytes(b"nothing")
    done = command(capsys, "data", "check", root)
    assert (done.status, done.out) == (2, "")
    assert "5 x unreadable image" in done.err


def test_pictures_in_two_splits(capsys, tmp_path):
    root = drawn.voc(tmp_path)
    write(root / "ImageSets/Main/val.txt", "four\none\n")
    done = command(capsys, "data", "check", root)
    assert done.status == 0
    assert "image in two splits" in done.out


def test_a_record_file(capsys, tmp_path, tiny_shapes):
    rec = load(tiny_shapes, "train").rec
    told = json.loads(command(capsys, "data", "check", rec, "--json").out)
    assert (told["format"], told["images"]) == ("rec", 16)
    damaged = write_rec(tmp_path / "a.rec", [2, 5, 0, .1, .1, .5, .5])
    assert refused(command(capsys, "data", "check", damaged, "--split", "a"),
                   "is one split already")
    done = command(capsys, "data", "check", damaged)
    assert done.status == 2
    assert "record 0 (key 0): its image cannot be decoded" in done.err


def test_formats_and_columns_that_are_named(capsys, tmp_path):
    draw(tmp_path, TRAIN)
    write(tmp_path / "boxes.csv", "".join(
        f"{label},{x1},{y1},{x2},{y2},9,{each.name}.png\n" for each in TRAIN
        for label, x1, y1, x2, y2 in each.boxes))
    check = ("data", "check", tmp_path)
    assert refused(command(capsys, *check, "--format", "csv"), "no table with boxes")
    columns = ("--columns", "label,x1,y1,x2,y2,-,image")
    for more in ((), ("--format", "csv")):
        told = json.loads(command(capsys, *check, *columns, *more, "--json").out)
        assert (told["images"], told["objects"], told["issues"]) == (3, 4, [])
    assert refused(command(capsys, *check, *columns, "--format", "coco"),
                   "--columns are those of a table, --format csv, not coco")
    done = command(capsys, *check, "--format", "vok")
    assert done.status == 2
    assert "no format of data sets is called 'vok': there are voc, coco, " in done.err
    assert all(each.name in done.err for each in list_data_formats())
    assert refused(command(capsys, "train", "--resume", "--out", tmp_path, "--format", "voc"),
                   f"{tmp_path} is no run")


@pytest.mark.parametrize("name", ["coco", "csv"])
def test_training_and_evaluation_take_any_format(capsys, tmp_path, name):
    root = FORMATS[name][0](tmp_path / "data")
    run = tmp_path / "run"
    done = command(capsys, "train", *DETECTOR, "--data", root, "--out", run, "--epochs", 1,
                   "--batch-size", 2, "--no-pretrained", "--format", name)
    assert done.status == 0, done.err
    assert f"3 images with 4 objects of 2 classes ({', '.join(CLASSES)})" in done.out
    assert f"validates on {root}, split {FORMATS[name][2]}" in done.out
    evaluated = command(capsys, "eval", run, "--json")
    assert evaluated.status == 0, evaluated.err
    assert json.loads(evaluated.out)["images"] == 2
    again = command(capsys, "eval", run, "--data", root, "--split", FORMATS[name][1])
    assert again.status == 0, again.err
    assert "3 images of" in again.out
    assert command(capsys, "data", "anchors", "--run", run).status == 0
