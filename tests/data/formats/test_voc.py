from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import paths
from support.voc import add, found

from ssdreg.data import Box, DataIssue, available_splits, describe_issues, read_voc
from ssdreg.errors import DataError

BCCD = paths.SHARED / "data" / "bccd"



def test_reads_boxes_in_edges_counted_from_0_and_sorts_the_classes(tmp_path):
    add(tmp_path, "one", ("dog", 1, 11, 5, 31, 50), ("cat", 0, 0, 0, 100, 50))
    data = read_voc(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.issues == ()
    (sample,) = data.samples
    assert (sample.image.name, sample.width, sample.height) == ("one.jpg", 100, 50)
    assert sample.boxes == (Box("dog", 10, 4, 31, 50, True), Box("cat", 0, 0, 100, 50, False))


def test_an_edge_one_pixel_past_the_image_is_clipped_and_reported(tmp_path):
    add(tmp_path, "one", ("dog", 1, 11, 5, 101, 50))
    data = read_voc(tmp_path)
    assert data.samples[0].boxes == (Box("dog", 10, 4, 100, 50, True),)
    (issue,) = data.issues
    assert issue.kind == "box outside"
    assert "11,5,101,50 in an image of 100x50; clipped" in issue.detail


def test_a_box_wholly_outside_or_empty_is_left_out_and_reported(tmp_path):
    add(tmp_path, "good", ("dog", 0, 11, 5, 40, 45))
    add(tmp_path, "outside", ("dog", 0, 150, 5, 190, 45), ("dog", 0, 1, 1, 9, 9))
    add(tmp_path, "empty", ("dog", 0, 20, 5, 20, 5))
    data = read_voc(tmp_path)
    assert {s.image.stem: len(s.boxes) for s in data.samples} == {"good": 1, "outside": 1,
                                                                  "empty": 0}
    assert found(tmp_path) == {("outside.xml", "box outside"), ("empty.xml", "empty box"),
                               ("empty.jpg", "no object")}


def test_every_broken_file_is_reported_by_name_and_left_out(tmp_path):
    add(tmp_path, "good", ("dog", 0, 11, 5, 40, 45))
    for name in ("no_image", "no_annotation", "bad_image", "bad_xml", "no_edge"):
        add(tmp_path, name, ("dog", 0, 11, 5, 40, 45))
    (tmp_path / "JPEGImages/no_image.jpg").unlink()
    (tmp_path / "Annotations/no_annotation.xml").unlink()
    (tmp_path / "JPEGImages/bad_image.jpg").write_bytes(b"not an image")
    (tmp_path / "Annotations/bad_xml.xml").write_text("<annotation><object>")
    (tmp_path / "Annotations/no_edge.xml").write_text(
        "<annotation><object><name>dog</name></object></annotation>")
    (tmp_path / "ImageSets/Main/train.txt").write_text(
        "good\nno_image\nno_annotation\nbad_image\nbad_xml\nno_edge\n")
    assert found(tmp_path, split="train") == {
        ("no_image.xml", "missing image"), ("no_annotation.xml", "missing annotation"),
        ("bad_image.jpg", "unreadable image"), ("bad_xml.xml", "unreadable annotation"),
        ("no_edge.xml", "unreadable annotation")}
    assert [s.image.stem for s in read_voc(tmp_path, "train").samples] == ["good"]


def test_classes_come_from_all_splits_and_from_classes_txt_when_there_is_one(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    add(tmp_path, "two", ("cat", 0, 1, 1, 9, 9), ("dog", 0, 1, 1, 9, 9))
    (tmp_path / "ImageSets/Main/train.txt").write_text("one  1\n")
    assert read_voc(tmp_path, "train").classes == ("cat", "dog")
    assert len(read_voc(tmp_path, "train").samples) == 1
    (tmp_path / "classes.txt").write_text("dog\n\n")
    data = read_voc(tmp_path)
    assert data.classes == ("dog",)
    assert [(p.file.name, p.kind) for p in data.issues] == [("two.xml", "unknown class")]


def test_classes_given_twice_are_refused(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    with pytest.raises(DataError, match="more than once: dog"):
        read_voc(tmp_path, classes=("dog", "dog"))


def test_errors_say_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_voc(tmp_path / "absent")
    with pytest.raises(DataError, match="no folder JPEGImages and no folder Annotations"):
        read_voc(tmp_path)
    add(tmp_path, "one", ("dog", 0, 9, 9, 9, 9))
    (tmp_path / "ImageSets/Main/train.txt").write_text("one\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("one\n")
    assert available_splits(tmp_path) == ("train", "val")
    with pytest.raises(DataError, match="the splits here are: train, val"):
        read_voc(tmp_path, "test")
    with pytest.raises(DataError, match=r"no image with a usable box(.|\n)*1 x empty box"):
        read_voc(tmp_path)


def test_problems_are_counted_by_kind_then_listed_by_name_up_to_the_limit():
    issues = [DataIssue(Path("d/b.xml"), "empty box", "x"),
              DataIssue(Path("d/a.jpg"), "no object", "y"),
              DataIssue(Path("d/c.xml"), "empty box", "z")]
    assert describe_issues(issues, limit=2).splitlines() == [
        "3 problems in the data:", "  2 x empty box", "  1 x no object",
        "  a.jpg: no object: y", "  b.xml: empty box: x", "  and 1 more"]
    assert describe_issues([]) == ""


def test_importing_the_data_package_does_not_import_mxnet_or_matplotlib():
    code = "import sys, ssdreg.data; print({'mxnet', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=paths.PROJECT)
    assert done.stdout.strip() == "set()"


@pytest.mark.reference
@pytest.mark.skipif(not BCCD.is_dir(), reason="the BCCD data set is not beside the project")
def test_bccd_has_two_empty_boxes():
    data = read_voc(BCCD)
    assert data.classes == ("Platelets", "RBC", "WBC")
    assert (len(data.samples), sum(len(sample.boxes) for sample in data.samples)) == (364, 4886)
    assert [(p.file.name, p.kind) for p in data.issues] == [
        ("BloodImage_00338.xml", "empty box"), ("BloodImage_00343.xml", "empty box")]
