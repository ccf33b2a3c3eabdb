"""The folder of results, and what is looked at, which needs no Ray."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec

import numpy as np
import pytest
from ssdreg_runtime.boxes.detections import failed_detections, from_rows
from ssdreg_runtime.errors import ClusterError, DataError
from ssdreg_runtime.io.frame import Frame, FrameResult
from ssdreg_runtime.io.pictures import find_images
from ssdreg_runtime.many.claim import claim, release
from ssdreg_runtime.many.job import picture_files
from ssdreg_runtime.many.results import (
    FORMATS,
    JSONL,
    PARQUET,
    Results,
    row_of,
    shard_name,
    write_shard,
)

CLASSES = ("red", "green")
SETTINGS = {"model": "abc", "threshold": 0.5}


@pytest.fixture(params=FORMATS)
def form(request):
    if request.param == PARQUET and find_spec("pyarrow") is None:
        pytest.skip("pyarrow, which comes with Ray's data library, is not installed")
    return request.param


def rows():
    found = from_rows([[0, 0.9, 0, 0, 0.5, 0.5], [1, 0.4, 0, 0, 1, 1]], (40, 20), CLASSES, "it")
    error = "/b\udcff.png cannot be read"
    return [row_of(FrameResult(Frame(stream="/a.png"), found), 0.5),
            row_of(FrameResult(Frame(stream="/b\udcff.png", error=error),
                               failed_detections(error, CLASSES)), 0.5)]


def read(shard):
    if shard.suffix == ".jsonl":
        return [json.loads(line) for line in shard.read_text(encoding="utf-8").splitlines()]
    from pyarrow import parquet
    return parquet.ParquetFile(shard).read().to_pylist()


def test_a_row_is_a_picture(tmp_path, form):
    shard = tmp_path / shard_name([b"/a.png", b"/b\xff.png"], form)
    write_shard(shard, rows())
    good, bad = read(shard)
    only, = good.pop("objects")
    assert good == {"image": "/a.png", "width": 40, "height": 20, "error": None}
    assert (only["class"], only["box"]) == ("red", [0, 0, 20, 10])
    assert np.isclose(only["score"], 0.9)
    assert bad == {"image": "/b\\xff.png", "width": None, "height": None, "objects": [],
                   "error": "/b\\udcff.png cannot be read"}
    assert [file.name for file in tmp_path.iterdir()] == [shard.name]


def test_a_folder_knows_what_it_has(tmp_path, form):
    results = Results(tmp_path / "out", form)
    results.begin(SETTINGS)
    assert list(results.done()) == []
    write_shard(results.folder / f"part-1.{form}", rows())
    # what is being written is hidden
    (results.folder / f".part-2.{form}").write_bytes(b"half")
    results.begin(SETTINGS)
    assert list(results.done()) == ["/a.png", "/b\\xff.png"]


def test_a_folder_of_others_is_refused(tmp_path):
    results = Results(tmp_path, JSONL)
    (tmp_path / "theirs.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="were not written with --ray"):
        results.begin(SETTINGS)
    (tmp_path / "theirs.jsonl").unlink()
    results.begin(SETTINGS)
    for changed, said in (({"threshold": 0.4}, "threshold 0.5, not 0.4"),
                          ({"model": "other"}, "another model")):
        with pytest.raises(DataError, match=f"holds results of {said}: choose another"):
            results.begin({**SETTINGS, **changed})
    with pytest.raises(DataError, match="format jsonl, not parquet"):
        Results(tmp_path, PARQUET).begin(SETTINGS)
    (tmp_path / "_settings.json").write_text("[")
    with pytest.raises(DataError, match=r"_settings\.json is damaged"):
        results.begin(SETTINGS)


def test_a_folder_belongs_to_the_last_job(tmp_path):
    first = claim(tmp_path)
    first.check()
    second = claim(tmp_path)
    with pytest.raises(ClusterError, match="another job has begun to write into"):
        first.check()
    release(first)
    second.check()
    for _ in range(3):
        # a worker that is lost gets no further
        assert next(second.filling(tmp_path / "part-1.jsonl", "a.png").gen) is None
    with pytest.raises(DataError, match=r"3 workers were lost at the same pictures, a\.png"):
        next(second.filling(tmp_path / "part-1.jsonl", "a.png").gen)
    third = claim(tmp_path)
    with third.filling(tmp_path / "part-1.jsonl", "a.png"):
        pass
    release(third)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_named(tmp_path, form):
    results = Results(tmp_path, form)
    results.begin(SETTINGS)
    (tmp_path / f"part-1.{form}").write_bytes(b"\x80half")
    with pytest.raises(DataError, match=rf"part-1\.{form} is damaged: remove it"):
        list(results.done())


def test_pictures_are_named_absolutely_and_need_be_there_unless_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / "in" / name).touch()
    both = [os.fsencode(tmp_path / "in" / name) for name in ("a.jpg", "b.png")]
    assert list(picture_files(["in"], find_images)) == both
    assert list(picture_files(["in/b.png"], find_images)) == both[1:]
    assert list(picture_files(["gone.png"], find_images, listed=True)) == [
        os.fsencode(tmp_path / "gone.png")]
    with pytest.raises(DataError, match=r"gone\.png is not there"):
        list(picture_files(["gone.png"], find_images))
    for name in ("-", "0", "clip.mp4", "rtsp://host/path"):
        with pytest.raises(DataError, match="is no picture file"):
            list(picture_files([name], find_images, listed=True))
