"""VOC as tools write it: other folders, other lists, other encodings, names that do not fit."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image
from support import drawn
from support.drawn import TRAIN, VAL, draw, voc_xml, write
from support.voc import add

from ssdreg.data import available_splits, read_dataset, read_voc
from ssdreg.data.reading import recognize
from ssdreg.errors import DataError

EVERY = drawn.drawn_boxes(TRAIN + VAL)


def test_lists_of_any_encoding_and_line_end(tmp_path):
    root = drawn.voc(tmp_path)
    lists = root / "ImageSets" / "Main"
    text = "one\r\ntwo\r\nthree\r\n"
    for name, content in (("bom", text.encode("utf-8-sig")),
                          ("little", b"\xff\xfe" + text.encode("utf-16-le")),
                          ("big", b"\xfe\xff" + text.encode("utf-16-be")),
                          ("bare", text.encode("utf-16-le")),
                          ("mac", text.replace("\r\n", "\r").encode())):
        (lists / f"{name}.txt").write_bytes(content)
        found = read_voc(root, name)
        assert found.issues == ()
        assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)


@pytest.mark.parametrize("line", ["{}.png 1", "{} -1", "{}  0", "{}.png", "JPEGImages/{}.png",
                                  "/home/somebody/data/JPEGImages/{}.png", "./{}.png",
                                  r"C:\data\JPEGImages\{}.png", "{}.xml"])
def test_what_lines_of_lists_may_be(tmp_path, line):
    root = drawn.voc(tmp_path)
    write(root / "ImageSets" / "Main" / "cat_train.txt",
          "\n".join(line.format(each.name) for each in TRAIN))
    found = read_voc(root, "cat_train")
    assert found.issues == ()
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN)


def test_names_with_spaces_and_dots(tmp_path):
    for name in ("photo 1", "photo", "a.b", "a 0 b"):
        add(tmp_path, name, ("dog", 0, 11, 5, 31, 50))
    write(tmp_path / "ImageSets/Main/train.txt", "photo 1\nphoto\na.b\na 0 b\n")
    found = read_voc(tmp_path, "train")
    assert [sample.image.stem for sample in found.samples] == ["photo 1", "photo", "a.b", "a 0 b"]
    assert found.issues == ()


def test_subfolders_with_photos_of_one_name(tmp_path):
    for place, each in enumerate(TRAIN[:2]):
        folder = f"day{place}"
        (tmp_path / "JPEGImages" / folder).mkdir(parents=True)
        drawn.picture(each).save(tmp_path / "JPEGImages" / folder / "same.png")
        write(tmp_path / "Annotations" / folder / "same.xml",
              voc_xml(each).replace(each.name, "same"))
    write(tmp_path / "ImageSets/Main/default.txt", "day1/same\nday0/same\n")
    for split, order in ((None, (0, 1)), ("default", (1, 0))):
        found = read_voc(tmp_path, split)
        assert found.issues == ()
        assert [(sample.image.parent.name, sample.width, len(sample.boxes))
                for sample in found.samples] == [
            (f"day{place}", TRAIN[place].size[0], len(TRAIN[place].boxes)) for place in order]
    # a bare name does not say which
    write(tmp_path / "ImageSets/Main/bare.txt", "same\nday0/same\n")
    found = read_voc(tmp_path, "bare")
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("two images of one name", "left out")]
    assert len(found.samples) == 1


def test_a_photo_of_another_folder_is_not_taken(tmp_path):
    write(tmp_path / "Annotations/day0/one.xml", voc_xml(TRAIN[0]))
    write(tmp_path / "Annotations/day1/two.xml", voc_xml(TRAIN[1]))
    draw(tmp_path / "JPEGImages/day1", TRAIN[:2])
    draw(tmp_path / "JPEGImages/day0", TRAIN[2:3])
    found = read_voc(tmp_path)
    assert drawn.kinds(found) == [("one.xml", "missing image", "left out")]
    assert drawn.boxes_of(found) == drawn.drawn_boxes(TRAIN[1:2])


@pytest.mark.parametrize(("images", "annotations"), [
    ("images", "annots"), ("photos", "xml"), ("images", "images/annotations"), ("pics", "pics"),
    (".", "annotations"), (".", "."), ("data/img", "data/ann")])
def test_any_two_folders(tmp_path, images, annotations):
    draw(tmp_path / images, TRAIN + VAL)
    for each in TRAIN + VAL:
        write(tmp_path / annotations / f"{each.name}.xml", voc_xml(each))
    assert recognize(tmp_path).name == "voc"
    found = read_dataset(tmp_path)
    assert found.issues == ()
    assert drawn.boxes_of(found) == EVERY


def test_folders_of_splits_below_the_two(tmp_path):
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        for each in pictures:
            draw(tmp_path / "images" / split, [each])
            write(tmp_path / "annots" / split / f"{each.name}.xml", voc_xml(each))
    # the same name on both sides
    shutil.copy(tmp_path / "images/val/four.png", tmp_path / "images/train/four.png")
    write(tmp_path / "annots/train/four.xml", voc_xml(VAL[0]))
    assert available_splits(tmp_path) == ("train", "val")
    assert drawn.boxes_of(read_dataset(tmp_path, "val")) == drawn.drawn_boxes(VAL)
    assert {sample.image.parent.name for sample in read_dataset(tmp_path, "train").samples} == {
        "train"}


def test_the_folder_above_a_single_one(tmp_path):
    drawn.voc(tmp_path / "VOCdevkit" / "VOC2007")
    assert available_splits(tmp_path) == ("train", "val")
    assert drawn.boxes_of(read_dataset(tmp_path, "train")) == drawn.drawn_boxes(TRAIN)


def test_only_pictures_are_pictures(tmp_path):
    root = drawn.voc(tmp_path)
    for name in ("one.xml", "two.txt", "three.json", "four.csv", "five.JPG.bak"):
        write(root / "JPEGImages" / name, "<annotation/>")
    # a picture without extension is one
    (root / "JPEGImages" / "five.png").rename(root / "JPEGImages" / "five")
    found = read_voc(root)
    assert found.issues == ()
    assert drawn.boxes_of(found) == EVERY


@pytest.mark.parametrize(("photo", "annotation"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_composed_and_decomposed_letters(tmp_path, photo, annotation):
    name = "Käfer über Öl"
    draw(tmp_path / "JPEGImages", [])
    drawn.picture(TRAIN[0]).save(
        tmp_path / "JPEGImages" / f"{unicodedata.normalize(photo, name)}.png")
    write(tmp_path / "Annotations" / f"{unicodedata.normalize(annotation, name)}.xml",
          voc_xml(TRAIN[0]).replace("one.png", f"{unicodedata.normalize(photo, name)}.png"))
    write(tmp_path / "ImageSets/Main/train.txt", unicodedata.normalize("NFC", name))
    for split in (None, "train"):
        found = read_voc(tmp_path, split)
        assert found.issues == ()
        assert len(found.samples[0].boxes) == 2


# What the annotation says of the file

def test_the_file_name_chooses_between_two_photos_of_one_stem(tmp_path):
    add(tmp_path, "one", ("dog", 0, 11, 5, 31, 50))
    Image.new("RGB", (50, 100)).save(tmp_path / "JPEGImages" / "one.png")
    found = read_voc_with_another(tmp_path)
    assert drawn.kinds(found) == [("one.xml", "two images of one name", "left out")]
    annotation = tmp_path / "Annotations" / "one.xml"
    plain = annotation.read_text()
    annotation.write_text(plain.replace("<annotation>", "<annotation><filename>one.png</filename>"))
    assert sample_of(tmp_path).image.name == "one.png"
    # or its size does
    annotation.write_text(plain.replace("<annotation>", "<annotation><size><width>100</width>"
                                                        "<height>50</height></size>"))
    assert sample_of(tmp_path).image.name == "one.jpg"


def read_voc_with_another(root: Path):
    add(root, "another", ("dog", 0, 11, 5, 31, 50))
    return read_voc(root)


def sample_of(root: Path):
    return next(sample for sample in read_voc(root).samples if sample.image.stem == "one")


def test_a_file_name_that_is_not_there_is_said(tmp_path):
    root = drawn.voc(tmp_path)
    annotation = root / "Annotations" / "one.xml"
    annotation.write_text(annotation.read_text().replace("one.png", "IMG_7.jpg"))
    found = read_voc(root)
    assert drawn.kinds(found) == [("one.xml", "file name differs", "kept")]
    assert drawn.boxes_of(found) == EVERY


def test_a_file_name_of_another_photo_is_not_known_to_be_wrong(tmp_path):
    """Unless the sizes tell, or a template's name was never changed."""
    for name in ("a", "b", "c", "d"):
        add(tmp_path, name, ("dog", 0, 11, 5, 31, 50))

    def rename(name: str, to: str) -> None:
        file = tmp_path / "Annotations" / f"{name}.xml"
        file.write_text(f"<annotation><filename>{to}</filename>"
                        + file.read_text().replace("<annotation>", ""))
    rename("a", "b.jpg")
    found = read_voc(tmp_path)
    assert drawn.kinds(found) == [("a.xml", "file name differs", "left out")]
    rename("c", "b.jpg")
    rename("d", "b.jpg")
    found = read_voc(tmp_path)
    assert {action for _, _, action in drawn.kinds(found)} == {"kept"}
    assert len(found.samples) == 4


def test_an_annotation_that_was_renamed_is_found_by_its_file_name(tmp_path):
    root = drawn.voc(tmp_path)
    (root / "Annotations" / "one.xml").rename(root / "Annotations" / "asset-0001.xml")
    found = read_voc(root)
    assert drawn.boxes_of(found) == EVERY
    # a second one of the same photo, which says otherwise
    write(root / "Annotations" / "one.xml", voc_xml(TRAIN[0]).replace(">11<", ">12<"))
    found = read_voc(root)
    assert ("one.xml", "two annotations of one image", "left out") not in drawn.kinds(found)
    assert [(kind, action) for _, kind, action in drawn.kinds(found)] == [
        ("missing image", "left out")]


# XML

@pytest.mark.parametrize(("content", "sentence"), [
    (b'<?xml version="1.0" encoding="foo"?><annotation/>', "the encoding 'foo', which nobody"),
    (b'<?xml version="1.0" encoding="utf-8"?><annotation>\xff</annotation>', "it is no XML"),
    (b"<html><body/></html>", "its root is <html>, not <annotation>"),
    (b"", "it is no XML"),
    (b'<!DOCTYPE a [<!ENTITY e "x">]><annotation/>', "declares the entity 'e'"),
    (b"<annotation><object><name>dog</name><bndbox><xmin>1,5</xmin></bndbox></object>"
     b"</annotation>", r"object 1 \(dog\) has no usable xmin"),
    (b"<annotation><object><bndbox/></object></annotation>", "object 1 has no name"),
])
def test_annotations_that_cannot_be_read(tmp_path, content, sentence):
    root = drawn.voc(tmp_path)
    (root / "Annotations" / "one.xml").write_bytes(content)
    found = read_voc(root)
    assert drawn.kinds(found) == [("one.xml", "unreadable annotation", "left out")]
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(found.issues[0].detail)


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "windows-1252", "utf-16", "koi8-r"])
def test_annotations_in_other_encodings(tmp_path, encoding):
    root = drawn.voc(tmp_path)
    text = f'<?xml version="1.0" encoding="{encoding}"?>{voc_xml(TRAIN[0])}'
    (root / "Annotations" / "one.xml").write_bytes(text.encode(encoding))
    found = read_voc(root)
    assert found.issues == ()
    assert drawn.boxes_of(found) == EVERY


def test_outlines_and_turned_boxes_get_the_box_around_them(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    write(tmp_path / "Annotations" / "one.xml", """<annotation>
        <object><name>dog</name><polygon><x1>10</x1><y1>5</y1><x2>40</x2><y2>20</y2><x3>20</x3>
        <y3>45</y3></polygon></object>
        <object><name>cat</name><robndbox><cx>50</cx><cy>25</cy><w>20</w><h>10</h>
        <angle>1.5707963</angle></robndbox></object></annotation>""")
    found = read_voc(tmp_path)
    assert [(issue.kind, issue.object, issue.action) for issue in found.issues] == [
        ("outline without a box", "object 1 (dog)", "put right"),
        ("outline without a box", "object 2 (cat)", "put right")]
    assert drawn.boxes_of(found) == {"one": [("cat", 45, 15, 55, 35), ("dog", 10, 5, 40, 45)]}


def test_folders_that_are_named_in_no_way(tmp_path):
    with pytest.raises(DataError, match="no folder JPEGImages and no folder Annotations"):
        read_voc(tmp_path)
    for folder in ("VOC2007", "VOC2012"):
        drawn.voc(tmp_path / folder)
    # two data sets in one folder: every annotation finds the photo of its own
    assert [issue.kind for issue in read_voc(tmp_path).issues] == []
