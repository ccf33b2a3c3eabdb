"""The channels of a job, in every form that they may have."""

from __future__ import annotations

import json
import os
import shutil
import threading

import pytest
from support import jobs

import ssdreg
from ssdreg.data import load
from ssdreg.data.packed import open_rec
from ssdreg.progress import silent
from ssdreg.sagemaker.channels import open_channels
from ssdreg.sagemaker.contract import Folders, read_job

PICTURES, RECORDS = "application/x-image", "application/x-recordio"


def opened(root, work, num_classes=3):
    """Open the channels of a job; return what it trains and validates on, packed."""
    work.mkdir()
    data = open_channels(read_job(Folders(root)), num_classes, work, silent)
    return open_rec(data.train), data.validation and open_rec(data.validation)


def configure(root, content_type, mode="File", names=("train", "validation")):
    return jobs.configure(root, jobs.told(), {name: jobs.channel(content_type, mode)
                                              for name in names})


@pytest.fixture
def pictures(tmp_path):
    """A job in the image format; 12 pictures to train on, 4 to validate."""
    return jobs.pictures_job(tmp_path / "ml")


def boxes(root, name):
    """Return how many boxes the annotations of a channel have."""
    return sum(len(content["annotations"]) for content in annotations(root, name))


def annotations(root, name):
    folder = root / "input" / "data" / f"{name}_annotation"
    return [json.loads(file.read_text()) for file in sorted(folder.iterdir())]


def same_as_annotated(root, train, validation):
    """Tell whether all pictures are there with all of their boxes."""
    return ((train.images, train.objects) == (12, boxes(root, "train"))
            and (validation.images, validation.objects) == (4, boxes(root, "validation")))


def test_pictures_with_annotations(pictures, tmp_path):
    train, validation = opened(pictures, tmp_path / "work")
    assert same_as_annotated(pictures, train, validation)
    assert train.classes == validation.classes == jobs.CLASSES


def test_annotations_may_lie_beside_their_pictures(pictures, tmp_path):
    """One prefix for both channels, as some jobs have it."""
    data = pictures / "input" / "data"
    for name in ("train", "validation"):
        shutil.copytree(data / f"{name}_annotation", data / name, dirs_exist_ok=True)
    assert same_as_annotated(pictures, *opened(pictures, tmp_path / "work"))


def test_classes_that_nobody_names_keep_their_numbers(pictures, tmp_path):
    for file in (pictures / "input" / "data").glob("*_annotation/*.json"):
        content = json.loads(file.read_text())
        content["categories"] = [entry for entry in content["categories"] if entry["class_id"] == 1]
        file.write_text(json.dumps(content))
    train, _ = opened(pictures, tmp_path / "work", num_classes=5)
    assert train.classes == ("class0", "disc", "class2", "class3", "class4")


def test_a_damaged_annotation_costs_its_picture(pictures, tmp_path):
    file = pictures / "input" / "data" / "train_annotation" / "003.json"
    file.write_text(file.read_text()[:40])
    train, _ = opened(pictures, tmp_path / "work")
    assert train.images == 11
    assert [issue.file.name for issue in train.issues] == ["003.json"]


# Packed

def packed_job(root, tiny):
    """Lay out a job whose channels are packed: two files to train on, one to validate."""
    data = root / "input" / "data"
    for name, split, letters in (("train", "train", "ab"), ("validation", "val", "a")):
        (data / name).mkdir(parents=True)
        for letter in letters:
            shutil.copy(load(tiny, split).rec, data / name / f"{letter}.rec")
    return configure(root, RECORDS)


def test_packed_channels(tmp_path, tiny_shapes):
    train, validation = opened(packed_job(tmp_path / "ml", tiny_shapes), tmp_path / "work", 4)
    assert (train.images, validation.images) == (2 * 16, 6)
    assert train.classes == ("class0", "class1", "class2", "class3")


# Pipes

def framed(payload):
    """Return a record as a pipe carries it."""
    return (0xCED7230A.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload
            + b"\0" * (-len(payload) % 4))


def piped(pipe, content):
    """Make a pipe, and write into it from a thread, as the service does from its own process."""
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True).start()


def test_an_augmented_manifest_comes_through_a_pipe(pictures, tmp_path):
    data = pictures / "input" / "data"
    for name in ("train", "validation"):
        records = []
        for content in annotations(pictures, name):
            records += [(data / name / content["file"]).read_bytes(), json.dumps(
                {key: content[key] for key in ("image_size", "annotations")}).encode()]
        piped(data / f"{name}_0", b"".join(map(framed, records)))
    configure(pictures, RECORDS, "Pipe")
    train, validation = opened(pictures, tmp_path / "work")
    assert same_as_annotated(pictures, train, validation)
    assert train.classes == ("class0", "class1", "class2")


def test_packed_records_come_through_a_pipe(tmp_path, tiny_shapes):
    root = packed_job(tmp_path / "ml", tiny_shapes)
    data = root / "input" / "data"
    for name in ("train", "validation"):
        piped(data / f"{name}_0", (data / name / "a.rec").read_bytes())
    train, validation = opened(configure(root, RECORDS, "Pipe"), tmp_path / "work")
    assert (train.images, validation.images) == (16, 6)
    assert train.objects == load(tiny_shapes, "train").objects


def test_an_augmented_manifest_beside_its_pictures(pictures, tmp_path):
    """Two pictures of one name are told apart by their folders in the bucket."""
    data = pictures / "input" / "data"
    for name in ("train", "validation"):
        for folder in ("pictures", "others"):
            shutil.copytree(data / name, tmp_path / name / folder)
        shutil.rmtree(data / name)
        shutil.move(tmp_path / name, data / name)
        (data / name / "output.manifest").write_text("".join(json.dumps({
            "source-ref": f"s3://bucket/pictures/{content['file']}",
            "boxes": {key: content[key] for key in ("image_size", "annotations")},
            "boxes-metadata": {"class-map": dict(enumerate(jobs.CLASSES))}}) + "\n"
            for content in annotations(pictures, name)))
    configure(pictures, PICTURES)
    train, validation = opened(pictures, tmp_path / "work")
    assert same_as_annotated(pictures, train, validation)
    assert train.classes == jobs.CLASSES


# Refusals

def refused(root, work, sentence, num_classes=3):
    with pytest.raises(ssdreg.SsdregError, match=sentence) as caught:
        opened(root, work, num_classes)
    assert "\n" not in str(caught.value)


def test_a_class_beyond_the_number_of_classes(pictures, tmp_path):
    refused(pictures, tmp_path / "work", r"\.json has the class_id 2, and num_classes is 2: cl", 2)


def test_a_packed_class_beyond_the_number_of_classes(tmp_path, tiny_shapes):
    root = packed_job(tmp_path / "ml", tiny_shapes)
    refused(root, tmp_path / "work", "has objects of class 2, and num_classes is 1", 1)


def test_a_class_of_two_names(pictures, tmp_path):
    file = pictures / "input" / "data" / "train_annotation" / "003.json"
    file.write_text(file.read_text().replace("disc", "disk"))
    refused(pictures, tmp_path / "work", "003.json calls class 1 'disk', and others call it 'disc'")


def test_no_channel_to_train_on(pictures, tmp_path):
    configure(pictures, PICTURES, names=("validation",))
    refused(pictures, tmp_path / "work", "the job has no channel 'train' to train on: its channels")


def test_an_empty_channel_of_annotations(pictures, tmp_path):
    shutil.rmtree(pictures / "input" / "data" / "train_annotation")
    refused(pictures, tmp_path / "work", "train_annotation holds no annotations: the channel 'trai")


def test_pictures_without_annotations(pictures, tmp_path):
    configure(pictures, PICTURES)
    refused(pictures, tmp_path / "work", "there is no channel train_annotation with the annotati")


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "train_0 ended before a record came"),
    (b"\xff\xd8\xff" * 8, "train_0 does not carry RecordIO: set the channel's RecordWrapperType"),
    (framed(b"\xff\xd8\xff" * 8)[:-4], "train_0 ended inside a record"),
    (framed(b'{"annotations": []}'), "the first record is no picture: name source-ref first"),
    (framed(b"\xff\xd8\xff" * 8), "picture 0 has no attribute with annotations")])
def test_what_a_pipe_may_not_carry(pictures, tmp_path, content, sentence):
    piped(pictures / "input" / "data" / "train_0", content)
    refused(configure(pictures, RECORDS, "Pipe"), tmp_path / "work", sentence)
