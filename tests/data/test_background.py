"""The background among class names, wherever they are read: said, and never a class unasked."""

from __future__ import annotations

import pytest
from support import checkpoints as files
from support.checkpoints import SIDE, own_symbol
from support.records import write_rec
from support.runs import command, refused
from support.voc import add

import ssdreg
from ssdreg.checkpoints.files import read_class_names
from ssdreg.data import load, open_rec, read_voc
from ssdreg.data.background import is_background, names_of
from ssdreg.data.issues import BACKGROUND
from ssdreg.errors import DataError
from ssdreg.runs.run import open_run


@pytest.mark.parametrize(("name", "wanted"), [
    ("background", True), ("__background__", True), ("_background_", True), ("BG", True),
    ("<bg>", True), ("Background", True), ("none", False), ("backgrounds", False),
    ("background car", False), ("", False), ("cat", False)])
def test_the_names_of_the_background(name, wanted):
    assert is_background(name) == wanted


@pytest.mark.parametrize(("names", "kept"), [
    (("bg", "a", "b"), ("a", "b")), (("a", "b", "background"), ("a", "b")),
    (("a", "b"), ("a", "b"))])
def test_names_of_a_network_of_two_classes(names, kept):
    found, left_out = names_of(2, names, "net")
    assert found == kept
    assert bool(left_out) == (len(names) == 3)


@pytest.mark.parametrize(("names", "says"), [
    (("bg", "a"), "2 classes apart besides the background, but 'bg' is one of the 2 names given"),
    (("a", "b", "c"), r"the background is not counted\), but 3 different names are given"),
    (("bg", "a", "a"), "but 2 different names are given"), (("a",), "but 1 different names"),
    (("bg", "bg", "a", "b"), "but 3 different names are given")])
def test_names_that_do_not_fit(names, says):
    with pytest.raises(ssdreg.SsdregError, match=says):
        names_of(2, names, "net")


# Checkpoints

@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return files.write(tmp_path_factory.mktemp("small") / "net", own_symbol("train"), SIDE).prefix


def class_count(checkpoint):
    return ssdreg.load_checkpoint(checkpoint, data_shape=SIDE).plan.num_classes


def test_a_labels_file_with_the_background_first(capsys, tmp_path, checkpoint):
    names = [f"thing{index}" for index in range(class_count(checkpoint))]
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(["background", *names]))
    done = command(capsys, "import", checkpoint, "--data-shape", SIDE, "--classes", labels, "--out",
                   tmp_path / "run")
    assert done.status == 0
    assert open_run(tmp_path / "run").classes == tuple(names)
    assert (f"note: 'background' was left out of the {len(names) + 1} class names: the background "
            f"is not counted as a class") in done.out
    # where no notes are printed it is a warning
    with pytest.warns(ssdreg.CheckpointWarning, match="'background' was left out"):
        ssdreg.load_checkpoint(checkpoint, classes=read_class_names(str(labels)), data_shape=SIDE)


def test_a_labels_file_with_the_background_for_a_class_is_refused(capsys, tmp_path, checkpoint):
    names = [f"thing{index}" for index in range(class_count(checkpoint) - 1)]
    done = command(capsys, "import", checkpoint, "--data-shape", SIDE, "--classes",
                   ",".join(["__background__", *names]), "--out", tmp_path / "run")
    assert refused(done, "give the names without it (a name is missing then), or, if the network "
                         "was trained with a class for it, call that something else, as class0")
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_too_large_for_names(tmp_path):
    (tmp_path / "names").write_bytes(b"a\n" * 2**20)
    with pytest.raises(DataError, match="no list of class names is that large"):
        read_class_names(str(tmp_path / "names"))
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    (tmp_path / "classes.txt").write_bytes(b"a\n" * 2**20)
    with pytest.raises(DataError, match="no list of class names is that large"):
        read_voc(tmp_path)


# Data sets in VOC's layout

def complaints(found):
    return [(issue.file.name, issue.detail) for issue in found.issues
            if issue.kind == BACKGROUND]


@pytest.mark.parametrize("file", ["classes.txt", "labels.txt"])
def test_a_list_of_classes_with_the_background_first(tmp_path, file):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9), ("cat", 0, 1, 1, 9, 9))
    (tmp_path / file).write_text("__background__\ndog\ncat\n")
    found = read_voc(tmp_path)
    assert found.classes == ("dog", "cat")
    assert complaints(found) == [(file, "'__background__' is no class: the background is not "
                                  "counted; left out, as a file without that line would have it")]
    # packed, and from the cache, it is said again
    assert complaints(load(tmp_path)) == complaints(load(tmp_path)) == complaints(found)


def test_objects_called_background(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9), ("background", 0, 1, 1, 50, 50))
    found = read_voc(tmp_path)
    assert found.classes == ("dog",)
    assert [box.label for box in found.samples[0].boxes] == ["dog"]
    assert complaints(found) == [("one.xml", "object 2 (background): the background is not "
                                  "annotated, it is what no box covers; left out (call it "
                                  "something else to keep it)")]


def test_classes_that_are_asked_for_with_the_background(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    found = read_voc(tmp_path, classes=("bg", "dog"))
    assert found.classes == ("bg", "dog")
    assert "'bg' is among the classes that are asked for, and stays" in complaints(found)[0][1]


# RecordIO

def record(*classes):
    return [2, 5, *(value for each in classes for value in (each, .1, .1, .5, .5))]


def test_labels_that_do_not_count_the_background(tmp_path):
    rec = write_rec(tmp_path / "a.rec", record(0, 1), record(1))
    (tmp_path / "a.names").write_text("background\ncat\ndog\n")
    found = open_rec(rec)
    assert found.classes == ("cat", "dog")
    assert "the labels do not count the background; left out" in complaints(found)[0][1]
    assert open_rec(rec, ("cat", "dog")).classes == ("cat", "dog")


def test_labels_that_count_the_background(tmp_path):
    rec = write_rec(tmp_path / "a.rec", record(1, 2), record(1))
    (tmp_path / "a.names").write_text("background\ncat\ndog\n")
    found = open_rec(rec)
    assert found.classes == ("background", "cat", "dog")
    assert "class 0 is 'background', of which there is no object" in complaints(found)[0][1]
    (tmp_path / "a.names").write_text("cat\ndog\n")
    with pytest.raises(DataError, match="as if the background were counted as class 0") as caught:
        open_rec(rec)
    assert "put a line `background` in front of the names" in str(caught.value)


def test_labels_that_contradict_the_names(tmp_path):
    rec = write_rec(tmp_path / "a.rec", record(0, 1, 2))
    (tmp_path / "a.names").write_text("background\ncat\ndog\n")
    with pytest.raises(DataError, match="there are objects of class 0 and of class 2"):
        open_rec(rec)
