"""Data sets divided: shares, classes in each, like pictures together, the same for a seed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from support import drawn, voc

from ssdreg.data import Sample, available_splits, read_dataset
from ssdreg.data.converting import convert
from ssdreg.data.likeness import NEAR, difference_hash, groups_of_alike
from ssdreg.data.splitting import assign, parse_shares, split_dataset
from ssdreg.data.synthetic import draw_shapes, write_shapes
from ssdreg.errors import DataError

SHARES = (0.8, 0.1, 0.1)


def random_labels(images=1000, classes=8, seed=0):
    """Classes of which the last is ten times as rare as the first."""
    random = np.random.default_rng(seed)
    return random.random((images, classes)) < np.geomspace(0.4, 0.04, classes)


@pytest.mark.parametrize("seed", range(3))
def test_every_class_has_its_share(seed):
    present = random_labels(seed=seed)
    sides = assign(present, np.arange(len(present)), SHARES, seed)
    counts = np.array([(sides == side).sum() for side in range(3)])
    np.testing.assert_allclose(counts / len(present), SHARES, atol=0.01)
    for label in range(present.shape[1]):
        of_label = np.array([(present[:, label] & (sides == side)).sum() for side in range(3)])
        # by chance a rare class would be several pictures off
        assert np.abs(of_label - np.array(SHARES) * of_label.sum()).max() <= 1.5


def test_chance_divides_worse():
    present = random_labels()
    random = np.random.default_rng(0)
    sides = random.choice(3, len(present), p=SHARES)
    off = [abs((present[:, label] & (sides == 2)).sum() - 0.1 * present[:, label].sum())
           for label in range(present.shape[1])]
    assert max(off) > 1.5


def test_groups_stay_together_and_seeds_decide():
    present = random_labels(300)
    groups = np.arange(300) // 3
    sides = assign(present, groups, SHARES, 0)
    assert all(len(set(sides[groups == group])) == 1 for group in range(100))
    np.testing.assert_array_equal(sides, assign(present, groups, SHARES, 0))
    assert (sides != assign(present, groups, SHARES, 1)).any()


def test_pictures_without_any_class_are_divided_too():
    sides = assign(np.zeros((10, 2), bool), np.arange(10), (0.5, 0.5), 0)
    assert np.bincount(sides).tolist() == [5, 5]


# Alike

def shapes(number):
    return draw_shapes((160, 120), np.random.default_rng(number))[0]


def as_image(pixels):
    return pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))


def copies(image):
    """The same picture in other sizes, encodings and brightness."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return {"jpeg": Image.open(stream), "smaller": image.resize((96, 72)),
            "larger": image.resize((320, 240)), "grey": image.convert("L"),
            "brighter": ImageEnhance.Brightness(image).enhance(1.1),
            "cropped": image.crop((1, 1, 159, 119))}


@pytest.mark.parametrize("number", range(4))
def test_copies_are_alike_and_others_are_not(number):
    image = as_image(shapes(number))
    bits = difference_hash(image)
    for name, copy in copies(image).items():
        assert (difference_hash(copy) != bits).sum() <= NEAR, name
    others = [difference_hash(as_image(shapes(other))) for other in range(20, 40)]
    assert min((other != bits).sum() for other in others) > NEAR


def test_groups(tmp_path):
    """Three copies, one of which lies on its side and is turned upright; one damaged; two plain."""
    image = as_image(shapes(0))
    files = []
    for name, copy in {"a": image, "b": image.resize((96, 72)), "other": as_image(shapes(9)),
                       "plain": Image.new("RGB", (80, 60), (9, 9, 9)),
                       "white": Image.new("RGB", (80, 60), (255, 255, 255))}.items():
        copy.save(tmp_path / f"{name}.png")
        files.append(Sample(tmp_path / f"{name}.png", *copy.size))
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png")
    files.append(Sample(tmp_path / "lying.png", 160, 120, orientation=6))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files.append(Sample(tmp_path / "bad.png", 1, 1))
    groups = groups_of_alike(files)
    assert groups[0] == groups[1] == groups[5]
    assert len({*groups.tolist()}) == 5
    np.testing.assert_array_equal(groups, groups_of_alike(files))


# A whole data set

def test_a_data_set_is_divided_and_written(tmp_path):
    write_shapes(tmp_path / "shapes", train=40, val=10, size=(64, 64))
    source = tmp_path / "shapes"
    first = split_dataset(source, out=tmp_path / "one", seed=5)
    assert (first.format, [split.name for split in first.splits]) == ("voc", ["train", "val",
                                                                              "test"])
    np.testing.assert_allclose([split.images for split in first.splits], [40, 5, 5], atol=1)
    assert available_splits(tmp_path / "one") == ("test", "train", "val")
    whole = {sample.image.stem: sample.boxes for sample in read_dataset(source).samples}
    parts = [sample for split in ("train", "val", "test")
             for sample in read_dataset(tmp_path / "one", split).samples]
    assert {sample.image.stem: sample.boxes for sample in parts} == whole
    again = split_dataset(source, out=tmp_path / "two", seed=5, to="yolo")
    assert again.splits == first.splits
    other = split_dataset(source, out=tmp_path / "three", seed=6)
    assert {sample.image.stem for sample in read_dataset(tmp_path / "three", "val").samples} != {
        sample.image.stem for sample in read_dataset(tmp_path / "one", "val").samples}
    assert sum(split.images for split in other.splits) == 50


def test_copies_of_a_picture_are_on_one_side(tmp_path):
    root = tmp_path / "source"
    for number in range(8):
        for copy in range(4):
            name = f"{number}-{copy}"
            voc.add(root, name, ("dog", 0, 11, 5, 40, 45))
            as_image(shapes(number)).resize((100, 50)).save(
                root / f"JPEGImages/{name}.jpg", quality=95 - 10 * copy)
    split_dataset(root, out=tmp_path / "out", shares={"train": 0.5, "val": 0.5})
    sides = {name: {sample.image.stem.partition("-")[0]
                    for sample in read_dataset(tmp_path / "out", name).samples}
             for name in ("train", "val")}
    assert not sides["train"] & sides["val"]
    assert len(sides["train"]) == len(sides["val"]) == 4


def test_what_is_not_written_becomes_yolo(tmp_path):
    written = split_dataset(drawn.labelme(tmp_path / "source"), out=tmp_path / "out",
                            shares={"train": 0.6, "val": 0.4})
    assert written.format == "yolo"
    assert sum(split.images for split in written.splits) == 5


@pytest.mark.parametrize(("shares", "sentence"), [
    ("train=0.8,val=0.1", "the shares train=0.8, val=0.1 add up to 0.9: they are above 0, and add"),
    ("train=1", "train cannot be the names of splits: give two or more"),
    ("train=0.5,a/b=0.5", "train, a/b cannot be the names of splits"),
    ("train=0.5,all=0.5", "train, all cannot be the names of splits"),
    ("train=half,val=0.5", "'train=half' is no share of a split: write them as train=0.8,val=0.2"),
    ("train=-0.5,val=1.5", "the shares train=-0.5, val=1.5 add up to 1")])
def test_shares_that_cannot_be(shares, sentence):
    with pytest.raises(DataError, match=sentence.replace(".", r"\.")):
        parse_shares(shares)


def test_a_split_that_would_be_empty(tmp_path):
    source = drawn.voc(tmp_path / "source")
    with pytest.raises(DataError, match="no picture is left for the split 'c': of 5 pictures"):
        split_dataset(source, out=tmp_path / "out", shares={"a": 0.5, "b": 0.49, "c": 0.01})
    assert not (tmp_path / "out").exists()


def test_a_packed_data_set_is_not_divided(tmp_path):
    rec = convert(drawn.voc(tmp_path / "source"), to="rec", out=tmp_path / "rec").folder
    with pytest.raises(DataError, match="is packed already: write it in another format with `ssdr"):
        split_dataset(rec / "train.rec", out=tmp_path / "out")
