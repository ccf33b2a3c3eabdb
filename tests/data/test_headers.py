"""Headers of pictures, remembered where there are many."""

from __future__ import annotations

import pytest
from PIL import Image
from support import drawn

from ssdreg.data import headers as module
from ssdreg.data import read_dataset
from ssdreg.data.headers import Headers


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def looked(monkeypatch):
    """The pictures whose headers are read, with every data set being large."""
    files, measure = [], module.measure
    monkeypatch.setattr(module, "LEAST", 1)
    monkeypatch.setattr(module, "measure",
                        lambda file: (files.append(file.name), measure(file))[1])
    return files


def test_a_second_reading_opens_no_picture_and_says_the_same(tmp_path, looked):
    root = drawn.voc(tmp_path)
    first = read_dataset(root)
    assert sorted(looked) == ["five.png", "four.png", "one.png", "three.png", "two.png"]
    looked.clear()
    assert read_dataset(root) == first
    assert looked == []
    # a split of it is known too, and what has changed is looked at
    Image.new("RGB", (80, 61)).save(root / "JPEGImages/one.png")
    train = read_dataset(root, "train")
    assert looked == ["one.png"]
    assert [sample.height for sample in train.samples if sample.image.stem == "one"] == [61]


def test_orientations_are_kept(tmp_path, looked):
    tag = Image.Exif()
    tag[0x0112] = 6
    file = tmp_path / "lying.jpg"
    Image.new("RGB", (40, 20)).save(file, exif=tag)
    for _ in range(2):
        with Headers(tmp_path, 5) as headers:
            measured = headers.of(file)
        assert (measured.size, measured.orientation, measured.upright) == ((40, 20), 6, (20, 40))
    assert looked == ["lying.jpg"]


@pytest.mark.parametrize("content", ["", "[]", '{"version": 0, "known": {}}', '{"version": 1}',
                                     '{"version": 1, "known": {"a": ["b", 1, 2]}}'])
def test_what_was_remembered_and_is_damaged_is_made_anew(tmp_path, cache, looked, content):
    root = drawn.voc(tmp_path)
    first = read_dataset(root)
    (kept,) = cache.rglob("headers/*.json")
    kept.write_text(content)
    assert read_dataset(root) == first
    assert len(looked) == 10


def test_few_are_not_worth_a_file(tmp_path, cache):
    read_dataset(drawn.voc(tmp_path))
    assert not list(cache.rglob("*"))
