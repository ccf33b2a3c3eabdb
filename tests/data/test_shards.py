"""Packing in shards: the same bytes always, whole after any stop, read as one or in parts."""

from __future__ import annotations

import json
import signal
import time

import numpy as np
import pytest
from PIL import Image
from support import drawn, voc
from support.killing import BeforeRename, WhileWriting, end_of_packing

from ssdreg.data import (
    Box,
    Dataset,
    Sample,
    encoding,
    load,
    open_eval,
    open_rec,
    open_train,
    pack,
    packing,
    read_dataset,
)
from ssdreg.data.boxes import boxes
from ssdreg.data.encoding import encode_all, prove_images
from ssdreg.data.originals import image_sizes
from ssdreg.data.packing import pack_shards
from ssdreg.data.recordio import image_of, index_records, objects_of
from ssdreg.data.splits import choose, open_data
from ssdreg.errors import DataError


def write_set(root, images):
    """Pictures of one size, each of another color, with a box or none."""
    for number in range(images):
        objects = (("dog", 0, 1 + number % 30, 5, 60, 45),) if number % 5 else ()
        voc.add(root, f"p{number:04d}", *objects)
        Image.new("RGB", (100, 50), (number % 256, number // 256, 90)).save(
            root / f"JPEGImages/p{number:04d}.jpg")
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("source"), 23)


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_shards_are_the_data_set(source, tmp_path):
    packed = pack_shards(source, out=tmp_path, shard_size=5)
    assert packed.rec == tmp_path / "all.shards"
    assert sorted(file.name for file in tmp_path.glob("*.rec")) == [
        f"all-{number:05d}-of-00005.rec" for number in range(1, 6)]
    whole = load(source)
    assert (packed.images, packed.objects, packed.negatives, packed.classes) == (
        whole.images, whole.objects, whole.negatives, whole.classes)
    one, other = index_records(packed.rec), index_records(whole.rec)
    for number in range(23):
        assert image_of(one, number) == image_of(other, number)
        np.testing.assert_array_equal(objects_of(one, number), objects_of(other, number))
    np.testing.assert_array_equal(boxes(packed), boxes(whole))
    assert image_sizes(packed) == image_sizes(whole)
    assert packed.issues == whole.issues
    # and so are its batches, in training and evaluation
    for opened in (lambda data: open_train(data, (32, 32), 4, seed=3),
                   lambda data: open_eval(data, (32, 32), 4)):
        for left, right in zip(opened(packed), opened(whole)):
            np.testing.assert_array_equal(left.data[0].asnumpy(), right.data[0].asnumpy())
            np.testing.assert_array_equal(left.label[0].asnumpy(), right.label[0].asnumpy())


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_are_disjoint_and_together_the_whole(source, tmp_path, count):
    packed = pack_shards(source, out=tmp_path, shard_size=5)
    pictures = []
    for number in range(1, count + 1):
        part = open_rec(packed.rec / f"{number}-of-{count}")
        assert part.classes == packed.classes
        index = index_records(part.rec)
        pictures += [image_of(index, record) for record in range(part.images)]
    whole = index_records(packed.rec)
    assert sorted(pictures) == sorted(image_of(whole, number) for number in range(23))
    for wrong in ("0-of-2", "3-of-2", "1-of-6", "first"):
        with pytest.raises(DataError, match=f"{wrong} is no part of 5 shards: write 1-of-4 for"):
            open_rec(packed.rec / wrong)


def test_training_takes_shards(source, tmp_path):
    packed = pack_shards(source, out=tmp_path, shard_size=9)
    train, validation = open_data(choose(packed.rec))
    assert (train.images, validation) == (23, None)
    with pytest.raises(DataError, match=r"all\.shards"):
        choose(packed.rec, "train")


def test_a_second_call_packs_nothing_and_a_change_only_its_shard(source, tmp_path):
    root = tmp_path / "source"
    write_set(root, 12)
    out = tmp_path / "out"
    pack_shards(root, out=out, shard_size=4)
    times = {file.name: file.stat().st_mtime_ns for file in out.glob("*.rec")}
    pack_shards(root, out=out, shard_size=4)
    assert {file.name: file.stat().st_mtime_ns for file in out.glob("*.rec")} == times
    Image.new("RGB", (100, 50), (1, 2, 3)).save(root / "JPEGImages/p0005.jpg")
    pack_shards(root, out=out, shard_size=4)
    changed = [file.name for file in sorted(out.glob("*.rec"))
               if file.stat().st_mtime_ns != times[file.name]]
    assert changed == ["all-00002-of-00003.rec"]
    # a shard that is missing, or was damaged in its size, is no whole one
    whole = contents(out)
    first = out / "all-00001-of-00003.rec"
    for damage in (first.unlink, lambda: first.write_bytes(whole[first.name][:-100])):
        damage()
        assert pack_shards(root, out=out, shard_size=4).images == 12
        assert contents(out) == whole


def test_a_shard_of_which_no_picture_decodes_is_empty(tmp_path):
    root = tmp_path / "source"
    for number in range(6):
        voc.add(root, f"p{number}", ("dog", 0, 5, 5, 60, 45))
        file = root / f"JPEGImages/p{number}.jpg"
        Image.effect_noise((100, 50), 60).convert("RGB").save(file)
        if number in (2, 3):  # behind the header
            file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    for _ in range(2):  # packed, and taken from before
        packed = pack_shards(root, out=tmp_path / "out", shard_size=2)
        assert (packed.images, packed.objects) == (4, 4)
        assert [issue.file.name for issue in packed.issues] == ["p2.jpg", "p3.jpg"]
    assert open_data(choose(packed.rec))[0].images == 4
    assert len(image_sizes(packed)) == 4
    with pytest.raises(DataError, match="2-of-3: this file holds no records; pack it again"):
        open_rec(packed.rec / "2-of-3")


def test_no_list_names_shards_of_two_states(tmp_path, monkeypatch):
    root, out = tmp_path / "source", tmp_path / "out"
    for number, label in enumerate(("cat", "cat", "dog", "dog", "cat", "dog")):
        voc.add(root, f"p{number}", (label, 0, 5, 5, 60, 45))
        Image.new("RGB", (100, 50), (number, 9, 90)).save(root / f"JPEGImages/p{number}.jpg")
    listed = pack_shards(root, out=out, shard_size=2).rec
    # a class that comes first, so that all others have another number
    voc.add(root, "p5", ("bat", 0, 5, 5, 60, 45))
    write, shards = packing._write_rec, []

    def stopped(*arguments):
        shards.append(arguments)
        if len(shards) == 2:
            raise KeyboardInterrupt
        return write(*arguments)
    monkeypatch.setattr(packing, "_write_rec", stopped)
    with pytest.raises(KeyboardInterrupt):
        pack_shards(root, out=out, shard_size=2)
    for path in (listed, listed / "1-of-3"):
        with pytest.raises(DataError, match="there is no such list of shards"):
            open_rec(path)
    monkeypatch.undo()
    assert pack_shards(root, out=out, shard_size=2).classes == ("bat", "cat", "dog")
    part = open_rec(listed / "1-of-3")
    assert {part.classes[int(row[0])] for row in index_records(part.rec).table} == {"cat"}
    # one that is damaged is written again
    listed.write_text("[")
    assert pack_shards(root, out=out, shard_size=2).images == 6


def test_killed_at_any_moment_it_goes_on_without_a_wrong_record(tmp_path):
    root, wanted = write_set(tmp_path / "source", 100), tmp_path / "wanted"
    assert end_of_packing(root, wanted, None, 10) == 0
    for attempt, names in enumerate((
            (".all-00001-of-*.rec", "all-00002-of-*.idx", "all-00009-of-*.json"),
            ("all-00001-of-*.rec", ".all-00006-of-*.rec", "all-00010-of-*.rec"),
            ("all-00001-of-*.json", ".all-00003-of-*.rec", "all.shards"))):
        out = tmp_path / f"out{attempt}"
        for name in names:
            # an index is renamed before its records, and a side-car is written behind both
            moment = WhileWriting(out, name.replace(".rec", ".*.rec")) if name[0] == "." else (
                BeforeRename(name))
            assert end_of_packing(root, out, moment, 10) == -signal.SIGKILL, moment
        assert end_of_packing(root, out, None, 10) == 0
        left = contents(out)
        # nothing of what a kill left behind
        assert set(left) == set(contents(wanted))
        for name, content in contents(wanted).items():
            assert left[name] == content, name


# Pictures in work at once

def test_samples_come_in_their_order_and_few_are_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "usable_processors", lambda: range(3))
    working, most = [], []

    def slow(sample, shorter_side=None):
        working.append(sample)
        time.sleep(0.002 * (sample.width % 3))
        return encoding.Encoded(b"", None)
    monkeypatch.setattr(encoding, "encode", slow)
    samples = [Sample(tmp_path / f"{number}", number + 1, 1) for number in range(60)]
    for done, (sample, _) in enumerate(encode_all(samples)):
        assert sample is samples[done]
        most.append(len(working) - done)
    assert max(most) <= 3 * encoding._AHEAD + 1


def test_what_was_found_of_a_picture_is_remembered_until_it_changes(tmp_path, tmp_path_factory,
                                                                    monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for name in ("good", "bad"):
        Image.effect_noise((64, 48), 50).convert("RGB").save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "bad.png").read_bytes()[:200])
    box = (Box("dog", 1, 1, 9, 9),)
    samples = tuple(Sample(tmp_path / f"{name}.png", 64, 48, box) for name in ("good", "bad"))
    dataset = Dataset(tmp_path, "all", ("dog",), samples)
    (issue,) = prove_images(dataset)
    assert (issue.file.name, issue.kind) == ("bad.png", "unreadable image")
    looked = []
    encode = encoding.encode
    monkeypatch.setattr(encoding, "encode", lambda sample, *rest: (
        looked.append(sample.image.name), encode(sample, *rest))[1])
    assert prove_images(dataset) == [issue]
    assert looked == []
    Image.new("RGB", (64, 48)).save(tmp_path / "bad.png")
    assert prove_images(dataset) == []
    assert looked == ["bad.png"]
    # a memory that is damaged is made anew
    (memory,) = cache.rglob("*.pictures")
    memory.write_text("[1")
    assert prove_images(dataset) == []
    assert looked == ["bad.png", "good.png", "bad.png"]


# What cannot be

def test_nothing_to_learn_from(tmp_path):
    root = drawn.voc(tmp_path / "source")
    for file in (root / "JPEGImages").iterdir():
        file.write_bytes(file.read_bytes()[:60])
    for run in (lambda: pack_shards(root, out=tmp_path / "out", shard_size=2),
                lambda: pack(read_dataset(root))):
        with pytest.raises(DataError, match=r"no image of split 'all' that has a box can be deco"):
            run()
    assert not list((tmp_path / "out").glob("*.shards"))
    with pytest.raises(DataError, match="shards of 0 images cannot be made: 1 or more"):
        pack_shards(root, out=tmp_path / "out", shard_size=0)


@pytest.mark.parametrize("content", [
    "", "[]", "{}", '{"files": [], "classes": [], "digest": ""}',
    '{"files": ["../a.rec"], "classes": [], "digest": ""}', '{"files": 3, "classes": []}'])
def test_a_list_that_is_none(tmp_path, content):
    file = tmp_path / "a.shards"
    file.write_text(content)
    with pytest.raises(DataError, match=r"a\.shards: this is no list of shards, as `ssdreg data p"):
        open_rec(file)


def test_shards_that_are_not_all_there(source, tmp_path):
    packed = pack_shards(source, out=tmp_path, shard_size=5)
    with pytest.raises(DataError, match=r"none\.shards: there is no such list of shards"):
        open_rec(tmp_path / "none.shards")
    lost = tmp_path / "all-00002-of-00005.json"
    content = json.loads(lost.read_text())
    assert content["digest"]
    lost.unlink()
    with pytest.raises(DataError, match="a shard lacks its side-car, which packing wrote last"):
        open_data(choose(packed.rec))
    (tmp_path / "all-00003-of-00005.rec").unlink()
    with pytest.raises(DataError, match=r"all-00003-of-00005\.rec: there is no such \.rec file"):
        open_rec(packed.rec)


def test_shards_of_another_size_go_away(source, tmp_path):
    pack_shards(source, out=tmp_path, shard_size=5)
    (tmp_path / "mine-00001-of-00009.rec").write_bytes(b"another split's")
    pack_shards(source, out=tmp_path, shard_size=12)
    assert sorted(file.name for file in tmp_path.glob("*.rec")) == [
        "all-00001-of-00002.rec", "all-00002-of-00002.rec", "mine-00001-of-00009.rec"]
