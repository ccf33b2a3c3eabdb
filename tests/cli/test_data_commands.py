"""``ssdreg data stats, view, convert, split``: what they print, write and refuse."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from support import drawn
from support.runs import command, refused


@pytest.fixture
def root(tmp_path):
    return drawn.voc(tmp_path / "source")


def test_stats(capsys, root, tmp_path):
    done = command(capsys, "data", "stats", root, "--out", tmp_path / "figures.png")
    assert done.status == 0
    assert done.err == f"drawn: {tmp_path / 'figures.png'}\n"
    assert done.out.startswith("split train: 3 pictures, 0 of them without objects; 4 objects\n")
    assert "split val: 2 pictures" in done.out
    assert [line.split() for line in done.out.splitlines() if line.startswith("cat")] == [
        ["cat", "2", "50.0%", "2"], ["cat", "2", "66.7%", "1"]]
    assert Image.open(tmp_path / "figures.png").width == 1500
    told = json.loads(command(capsys, "data", "stats", root, "--split", "val", "--json").out)
    assert [split["objects"] for split in told["splits"]] == [3]
    assert refused(command(capsys, "data", "stats", root, "--out", tmp_path / "figures.txt"),
                   "its suffix is no picture format that matplotlib writes; use .png")


def test_view(capsys, root, tmp_path):
    out = tmp_path / "sheet.png"
    done = command(capsys, "data", "view", root, "--out", out, "--augment", "ssd", "--count", 2)
    assert (done.status, done.out) == (0, f"drawn: {out}\n")
    assert Image.open(out).width == 4 * 328 + 8
    done = command(capsys, "data", "view", root, "--out", tmp_path / "worst.png", "--worst")
    assert (done.status, done.out) == (0, "nothing is wrong with it, so nothing was drawn\n")
    (root / "JPEGImages/one.png").write_bytes(b"no picture")
    done = command(capsys, "data", "view", root, "--out", tmp_path / "worst.png", "--worst")
    assert (done.status, done.out) == (0, f"drawn: {tmp_path / 'worst.png'}\n")


def test_convert(capsys, root, tmp_path):
    out = tmp_path / "coco"
    done = command(capsys, "data", "convert", root, "--to", "coco", "--out", out)
    assert (done.status, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["split", "images", "objects", "cat", "dog"], ["train", "3", "4", "2", "2"],
        ["val", "2", "3", "2", "1"], [], ["written:", f"{out},", "as", "coco"]]
    checked = command(capsys, "data", "check", out)
    assert checked.out.splitlines()[0] == f"{out}: coco, 5 images with 7 objects of 2 classes"
    assert refused(command(capsys, "data", "convert", root, "--to", "coco", "--out", out),
                   f"{out} is there already, and not empty: name another folder")


def test_what_was_left_out_is_said(capsys, root, tmp_path):
    (root / "JPEGImages/one.png").write_bytes(b"no picture")
    done = command(capsys, "data", "convert", root, "--to", "yolo", "--out", tmp_path / "yolo")
    assert done.status == 0
    assert "1 x unreadable image" in done.err
    assert "train  2" in done.out


def test_split(capsys, root, tmp_path):
    out = tmp_path / "parts"
    done = command(capsys, "data", "split", root, "--out", out, "--shares", "learn=0.6,look=0.4",
                   "--to", "rec", "--seed", 1)
    assert done.status == 0
    assert sorted(file.name for file in out.glob("*.rec")) == ["learn.rec", "look.rec"]
    assert done.out.splitlines()[-1] == f"written: {out}, as rec"
    assert refused(command(capsys, "data", "split", root, "--out", tmp_path / "x", "--shares",
                           "a=0.6,b=0.6"), "the shares a=0.6, b=0.6 add up to 1.2")


def test_pack(capsys, root, tmp_path):
    out = tmp_path / "packed"
    done = command(capsys, "data", "pack", root, "--split", "train", "--out", out,
                   "--shard-size", 2)
    assert (done.status, done.err) == (0, "")
    listed = out / "train.shards"
    assert done.out == (f"packed: 3 images with 4 objects; train on them with: ssdreg train "
                        f"--backbone NAME --data {listed} --out RUN\n")
    for path, images in ((listed, 3), (listed / "1-of-2", 2), (listed / "2-of-2", 1)):
        checked = command(capsys, "data", "check", path)
        assert (checked.status, checked.out.splitlines()[0]) == (
            0, f"{path}: rec, {images} images with {4 if images == 3 else images + (images > 1)} "
               f"objects of 2 classes")
