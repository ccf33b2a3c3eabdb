"""CVAT for images: shapes, turned boxes, subsets, and what is broken in it."""

from __future__ import annotations

import re

import pytest
from support import drawn
from support.drawn import CLASSES, TRAIN, VAL

from ssdreg.data import available_splits, read_dataset
from ssdreg.errors import DataError

BOX = '<box label="dog" xtl="0.00" ytl="0.00" xbr="30.00" ybr="30.00" occluded="0"/>'


@pytest.fixture
def root(tmp_path):
    return drawn.cvat(tmp_path)


def replace(root, old, new):
    file = root / "annotations.xml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("new", [
    '<polygon label="dog" points="0,0;30,5;12,30"/>',
    '<ellipse label="dog" cx="15" cy="15" rx="15" ry="15"/>',
    '<mask label="dog" rle="1" left="0" top="0" width="30" height="30"/>',
    '<box label="dog" xtl="0" ytl="0" xbr="30" ybr="30" rotation="90.0"/>'])
def test_other_shapes_are_boxed(root, new):
    replace(root, BOX, new)
    found = read_dataset(root, "train")
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("outline without a box", "put right")]


def test_tags_of_a_picture_are_no_objects(root):
    replace(root, BOX, f'<tag label="cat"/>{BOX}')
    assert drawn.boxes_of(read_dataset(root, "train")) == drawn.drawn_boxes(TRAIN)


@pytest.mark.parametrize(("new", "sentence"), [
    (BOX.replace('xtl="0.00"', 'xtl="zero"'), "image two.png: box 1 (dog): it has no four numbers"),
    (BOX.replace('label="dog"', ""), "image two.png: box 1 has no label"),
    ('<polygon label="dog" points="0,0;30"/>', "polygon 1 (dog): its outline has no usable")])
def test_a_broken_object_leaves_its_image_out(root, new, sentence):
    replace(root, BOX, new)
    found = read_dataset(root, "train")
    assert drawn.kinds(found) == [("annotations.xml", "unreadable annotation", "left out")]
    assert sentence in found.issues[0].detail
    assert found.issues[0].object == "image two.png"
    assert [sample.image.stem for sample in found.samples] == ["one", "three"]


def test_labels_are_declared_and_kept(root):
    replace(root, "<label><name>cat", "<label><name>owl</name></label><label><name>cat")
    found = read_dataset(root, "train")
    assert found.classes == ("owl", *CLASSES)
    assert [(issue.kind, issue.object) for issue in found.issues] == [
        ("class without objects", "owl")]


def test_pictures_in_folders_of_a_task(root):
    (root / "images" / "train" / "two.png").rename(root / "images" / "two.png")
    replace(root, 'name="two.png"', 'name="images/two.png"')
    found = read_dataset(root, "train")
    assert found.issues == ()


def test_files_that_cannot_be_used(root):
    replace(root, "</annotations>", "<track/></annotations>")
    with pytest.raises(DataError, match="has tracks of a video: export the task as CVAT for im"):
        read_dataset(root)
    (root / "annotations.xml").write_text("<annotations><image")
    with pytest.raises(DataError, match=r"annotations\.xml: it is no XML, or it is truncated"):
        read_dataset(root)


# Several files

@pytest.fixture
def files(root):
    """The two subsets as files of their own, which do not name them."""
    text = (root / "annotations.xml").read_text()
    for split, other in (("train", "val"), ("val", "train")):
        kept = re.sub(rf'<image [^>]*subset="{other}".*?</image>', "", text)
        (root / f"{split}.xml").write_text(kept.replace(f' subset="{split}"', ""))
    (root / "annotations.xml").unlink()
    return root


def test_files_called_after_splits_are_these_splits(files):
    assert available_splits(files) == ("train", "val")
    assert drawn.boxes_of(read_dataset(files, "train")) == drawn.drawn_boxes(TRAIN)
    assert drawn.boxes_of(read_dataset(files)) == drawn.drawn_boxes((*TRAIN, *VAL))
    assert read_dataset(files, "val").classes == CLASSES
    with pytest.raises(DataError, match="there is no split 'test'; the splits here are: train, v"):
        read_dataset(files, "test")


def test_which_of_several_files_is_meant(files):
    (files / "val.xml").rename(files / "job_2.xml")
    with pytest.raises(DataError, match=r"job_2\.xml and train\.xml are all of CVAT: give the one"):
        read_dataset(files)
    assert len(read_dataset(files / "train.xml").samples) == len(TRAIN)
