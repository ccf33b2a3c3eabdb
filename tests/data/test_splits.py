"""Which images train and which validate, in every layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ssdreg.data import load, read_voc
from ssdreg.data.splits import HELD_OUT, DataSpec, choose, hold_out, open_data
from ssdreg.errors import DataError


@pytest.fixture
def folder(tmp_path, tiny_shapes):
    """The shapes without their splits."""
    copy = Path(shutil.copytree(tiny_shapes, tmp_path / "shapes"))
    shutil.rmtree(copy / "ImageSets")
    return copy


def divide(folder: Path, **splits: range) -> None:
    target = folder / "ImageSets" / "Main"
    target.mkdir(parents=True)
    for name, numbers in splits.items():
        (target / f"{name}.txt").write_text("".join(f"{number:06d}\n" for number in numbers))


def source(folder: Path, train: str | None, validation: str) -> DataSpec:
    return DataSpec(train=str(folder), train_split=train, validation=str(folder),
                    validation_split=validation)


@pytest.mark.parametrize(("splits", "given", "wanted"), [
    (("train", "val"), {}, ("train", "val")),
    (("trainval", "test"), {}, ("trainval", "test")),
    (("train", "test"), {}, ("train", "test")),
    (("train", "val", "trainval", "test"), {}, ("train", "val")),
    (("train", "val", "trainval", "test"), {"train_split": "trainval"}, ("trainval", "test")),
    (("train", "val", "trainval", "test"), {"validation_split": "test"}, ("trainval", "test")),
    (("train", "val", "mini"), {"train_split": "mini"}, ("mini", HELD_OUT)),
    (("train", "val", "mini"), {"train_split": "mini", "validation_split": "val"},
     ("mini", "val")),
    (("train", "mini"), {"train_split": "train", "validation_split": "mini"}, ("train", "mini")),
    (("train",), {}, (None, HELD_OUT)),
    ((), {}, (None, HELD_OUT)),
])
def test_a_folder(folder, splits, given, wanted):
    divide(folder, **{name: range(2) for name in splits})
    assert choose(folder, **given) == source(folder, *wanted)
    # the same folder named again is no other data
    assert choose(folder, validation=folder, **given) == source(folder, *wanted)


def test_images_do_not_train_and_validate_at_once(folder):
    divide(folder, mini=range(2), other=range(2, 5))
    with pytest.raises(DataError, match=r"say by --split what to train on besides the split 'mini'"
                                        r"; the splits here are: mini, other"):
        choose(folder, validation_split="mini")


def test_a_record_file_validates_on_what_is_given(tiny_shapes):
    train, val = (load(tiny_shapes, split).rec for split in ("train", "val"))
    alone = choose(train)
    assert alone == DataSpec(train=str(train))
    learning, validation = open_data(alone)
    assert (learning.images, validation) == (16, None)

    both = choose(train, validation=val)
    assert both == DataSpec(train=str(train), validation=str(val))
    learning, validation = open_data(both)
    assert (learning.images, validation.images) == (16, 6)

    mixed = choose(train, validation=tiny_shapes, validation_split="val")
    assert mixed == DataSpec(train=str(train), validation=str(tiny_shapes),
                             validation_split="val")
    assert open_data(mixed)[1].images == 6


@pytest.mark.parametrize("option", ["train_split", "validation_split"])
def test_a_record_file_has_no_splits(tmp_path, option):
    with pytest.raises(DataError, match=r"is one split already: leave --.* mini out"):
        choose(tmp_path / "a.rec", **{option: "mini"})


def test_paths_are_absolute(tiny_shapes, monkeypatch):
    monkeypatch.chdir(tiny_shapes.parent)
    assert choose(Path("shapes")) == source(tiny_shapes, "train", "val")


def test_what_is_opened(tiny_shapes):
    learning, validation = open_data(choose(tiny_shapes))
    assert (learning.images, validation.images) == (16, 6)
    assert learning.classes == validation.classes == ("circle", "square", "triangle")


# A tenth, by name

def names(dataset) -> set[str]:
    return {sample.image.name for sample in dataset.samples}


def test_a_tenth_is_held_out(folder):
    learning, held = hold_out(read_voc(folder), share=0.3)
    assert names(learning) | names(held) == {f"{number:06d}.jpg" for number in range(22)}
    assert not names(learning) & names(held)
    assert learning.classes == held.classes
    opened = open_data(choose(folder))
    assert opened[0].images + opened[1].images == 22
    assert opened[1].images >= 1


def test_an_image_stays_on_its_side(folder):
    learning, held = hold_out(read_voc(folder), share=0.3)
    for name in ("000000", "000021"):
        (folder / "JPEGImages" / f"{name}.jpg").unlink()
        (folder / "Annotations" / f"{name}.xml").unlink()
    fewer, held_fewer = hold_out(read_voc(folder), share=0.3)
    assert names(fewer) == names(learning) - {"000000.jpg", "000021.jpg"}
    assert names(held_fewer) == names(held) - {"000000.jpg", "000021.jpg"}


def test_problems_are_reported_once(folder):
    (folder / "Annotations" / "000003.xml").write_text("<annotation>")
    learning, held = hold_out(read_voc(folder), share=0.3)
    assert [issue.file.name for issue in learning.issues] == ["000003.xml"]
    assert held.issues == ()


def test_too_few_images(folder):
    divide(folder, mini=range(1))
    with pytest.raises(DataError, match="has only 1 images, too few to hold some out for valid"):
        hold_out(read_voc(folder, "mini"))
