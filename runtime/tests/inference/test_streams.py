"""Streams: order, bounds, ends and errors of what runs at the same time."""

from __future__ import annotations

import io
import os
import threading
from contextlib import closing
from functools import partial

import numpy as np
import pytest
from PIL import Image
from runtime_support.tiny_model import picture, tiny_model
from ssdreg_runtime.backends import installed, open_backend
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.inference.streams import open_streams, stream
from ssdreg_runtime.io.frame import Frame
from ssdreg_runtime.io.pictures import ImageFiles
from ssdreg_runtime.io.piped import PipedImages, chunks, split
from ssdreg_runtime.io.pipeline import in_background, in_pool, without_pauses

needs_backend = pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is "
                                                           "installed")
RED, GREEN, BLACK = (200, 0, 0), (0, 100, 0), (0, 0, 0)


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not [each for each in threading.enumerate() if each.name.startswith("ssdreg-")]


@pytest.fixture(scope="module", params=[1, None], ids=["batch 1", "any batch"])
def detector(request):
    model = tiny_model(batch=request.param).SerializeToString()
    return Detector.on(open_backend(model, threads=1))


def encoded(array, kind="JPEG", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def numbered(count):
    """Pictures whose score of red tells which they are."""
    return [picture([(60 + index, 0, 0), BLACK, BLACK, BLACK]) for index in range(count)]


def places(seen):
    return [round(float(each.detections.scores[0]) * 255) - 60 for each in seen]


# Stages

def test_a_stage_runs_ahead_no_further_than_it_may():
    begun = []

    def source():
        for index in range(100):
            begun.append(index)
            yield index

    got = without_pauses(in_background(source(), 3))
    for index in range(10):
        assert next(got) == index
        # given, three that wait, and one that finds no place yet
        assert len(begun) <= index + 5
    got.close()
    assert len(begun) <= 14


def test_a_pool_keeps_the_order_and_its_bounds():
    waits = [threading.Event() for _ in range(20)]
    begun = []

    def work(index):
        begun.append(index)
        # each waits for the one behind it, where that can be in the pool at the same time
        if index % 2 == 0:
            assert waits[index + 1].wait(10)
        waits[index].set()
        return index

    results = without_pauses(in_pool(work, iter(range(20)), 2, 2))
    for index in range(20):
        assert next(results) == index
        assert len(begun) <= index + 5
    assert next(results, None) is None


@pytest.mark.parametrize("where", ["source", "work"])
def test_an_error_of_a_stage_is_raised_in_its_place(where):
    def source():
        yield from range(5)
        if where == "source":
            raise OSError("the disk is gone")
        yield from range(5, 50)

    def work(item):
        if where == "work" and item == 5:
            raise OSError("the disk is gone")
        return item

    got = without_pauses(in_background(in_pool(work, source(), 2, 2), 2))
    assert [next(got) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="the disk is gone"):
        next(got)


def test_closing_the_last_stage_ends_the_first():
    ended = []

    def source():
        try:
            while True:
                yield 1
        finally:
            ended.append(threading.current_thread().name)

    with closing(without_pauses(in_background(in_pool(abs, source(), 2, 2), 2))) as got:
        assert next(got) == 1
    assert len(ended) == 1


def test_a_source_that_waits_can_be_left():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file:
        stages = in_background(in_pool(bytes, in_background(chunks(file), 2), 1, 2), 2)
        with closing(without_pauses(stages)) as got:
            os.write(writer, b"something")
            assert next(got) == b"something"
        # nothing else came, and nobody closed the pipe
    os.close(writer)


# What is a stream

@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "images"
    made.mkdir()
    for index, each in enumerate(numbered(7)):
        Image.fromarray(each).save(made / f"{index}.{'png' if index % 2 else 'bmp'}")
    (made / "notes.txt").write_text("no image")
    return made


def test_images_are_listed_once_and_sorted(folder):
    more = folder.parent / "more.png"
    Image.fromarray(picture([RED] * 4)).save(more)
    found = open_streams([more, folder, folder / "3.png", str(more)])
    assert [each.files for each in found] == [
        (more, *(folder / f"{index}.{'png' if index % 2 else 'bmp'}" for index in range(7)))]
    assert (found[0].total, found[0].unit, found[0].live) == (8, "image", False)
    assert found[0].name == "8 images"


@pytest.mark.parametrize(("name", "sentence"), [
    ("nowhere", "nowhere is not there: give an image or a folder of images, or a video"),
    ("empty", r"empty holds no image \(\.bmp, "),
])
def test_what_is_no_stream(tmp_path, name, sentence):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=sentence):
        open_streams([tmp_path / name])


@needs_backend
def test_what_cannot_be_a_stream(detector):
    with pytest.raises(DataError, match="int is no stream: give the name of a folder or video"):
        stream(detector, 7)


# Detection in streams

@needs_backend
def test_a_folder_is_seen_in_order(detector, folder):
    seen = list(stream(detector, folder))
    assert places(seen) == [0, 1, 2, 3, 4, 5, 6]
    assert [each.frame.stream for each in seen] == [str(each) for each in open_streams(
        [folder])[0].files]
    alone = detector.detect([each.frame.pixels for each in seen])
    for each, same in zip(seen, alone):
        assert each.detections.size == (40, 20)
        assert np.array_equal(each.detections.xyxy, same.xyxy)
        assert np.array_equal(each.detections.scores, same.scores)


@needs_backend
def test_bad_images_are_named_and_the_rest_goes_on(detector, folder):
    (folder / "2.bmp").write_bytes((folder / "2.bmp").read_bytes()[:500])
    (folder / "5.png").write_bytes(b"")
    seen = list(stream(detector, folder))
    assert [bool(each.error) for each in seen] == [False, False, True, False, False, True, False]
    assert places(each for each in seen if not each.error) == [0, 1, 3, 4, 6]
    assert seen[2].error.startswith(f"{folder / '2.bmp'} cannot be read as an image and was passed "
                                    f"over: image file is truncated")
    assert seen[5].error.endswith("5.png cannot be read as an image and was passed over: its "
                                  "format is not known")
    assert seen[2].detections.error == seen[2].error
    assert len(seen[2].detections) == 0


@needs_backend
def test_any_images_of_python_are_a_stream(detector, folder):
    given = [picture([RED] * 4), Image.new("L", (30, 30), 200), folder / "3.png", np.zeros((3, 3))]
    seen = list(stream(detector, (each for each in given)))
    assert [len(each.detections) for each in seen] == [4, 4, 1, 0]
    assert [each.frame.number for each in seen] == [1, 2, 3, 4]
    assert seen[3].error.startswith("the stream, image 4: an array of float64 is no image")


@needs_backend
def test_a_long_stream_is_never_held_in_memory(detector):
    decoded = []

    def decode(index):
        decoded.append(index)
        return Frame(stream="long", number=index + 1, pixels=picture([RED] * 4))

    class Long:
        name, unit, total, live = "long", "image", 10_000, False

        def frames(self):
            return (partial(decode, index) for index in range(10_000))

    with closing(stream(detector, Long(), workers=2)) as got:
        for index in range(60):
            assert next(got).frame.number == index + 1
            # two groups, and what the two workers hold or have ready
            assert len(decoded) - index <= 3 * detector.batch_size + 8
    assert len(decoded) < 150


@needs_backend
@pytest.mark.parametrize("batch", [1, None])
def test_a_network_that_gives_no_numbers_is_told(batch):
    backend = open_backend(tiny_model(batch=batch).SerializeToString(), threads=1)

    class Broken:
        name, precision, facts = backend.name, backend.precision, backend.facts

        def run(self, images):
            found = backend.run(images)
            found[images.max(axis=(1, 2, 3)) == 65] = np.nan
            return found

    seen = list(stream(Detector.on(Broken()), numbered(8)))
    assert [bool(each.error) for each in seen] == [False] * 5 + [True] + [False] * 2
    assert seen[5].error.startswith("the stream, image 6: ")
    assert "not finite" in seen[5].error


@needs_backend
def test_an_error_of_the_network_ends_the_stream(detector, folder):
    class Broken:
        name, precision, facts = "broken", "float32", detector._backend.facts

        def run(self, images):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream(Detector.on(Broken()), folder))


# Pictures one after another

def truncated(data):
    return data[:len(data) * 2 // 3]


FIRST, SECOND = picture([RED] * 4), picture([GREEN] * 4, (64, 48))
PARTS = {
    "jpeg": encoded(FIRST), "progressive": encoded(SECOND, progressive=True),
    "restarts": encoded(SECOND, restart_marker_rows=1), "png": encoded(SECOND, "PNG"),
    "exif": encoded(FIRST, exif=b"Exif\0\0" + encoded(FIRST))}


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_pictures_are_cut_out_of_a_stream(size):
    data = b"--edge\r\nContent-Type: image/jpeg\r\n\r\n".join([b"", *PARTS.values(), b""])
    pieces = (data[start:start + size] for start in range(0, len(data), size))
    assert list(split(pieces)) == list(PARTS.values())


def test_a_picture_is_there_with_its_last_byte():
    for part in PARTS.values():
        waiting = split(iter([part, None, b"next"]))
        assert next(waiting) == part
        assert next(waiting) is None


@needs_backend
def test_broken_pictures_in_a_stream(detector):
    # in its tables, in its picture, in a chunk, at the end
    data = [PARTS["jpeg"], truncated(PARTS["restarts"]), PARTS["exif"], PARTS["restarts"][:-20],
            PARTS["png"], truncated(PARTS["png"]), PARTS["jpeg"], truncated(PARTS["png"])]
    seen = list(stream(detector, PipedImages(io.BytesIO(b"".join(data)))))
    assert [each.frame.number for each in seen] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [each.detections.names[:1] for each in seen] == [
        ("red",), (), ("red",), (), ("green",), (), ("red",), ()]
    for each in (seen[1], seen[3], seen[5], seen[7]):
        assert each.error.startswith(f"standard input, image {each.frame.number} cannot be read as "
                                     f"an image and was passed over: ")


@needs_backend
@pytest.mark.parametrize("data", [b"", b"no picture\xff\xd8", b"\x89PNG", bytes(100_000)])
def test_bytes_without_pictures(detector, data):
    with pytest.raises(DataError, match="standard input holds no JPEG or PNG picture: pipe"):
        list(stream(detector, PipedImages(io.BytesIO(data))))


@pytest.mark.parametrize("begin", [
    b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIDAT", b"\xff\xd8\xff\xda\0\2"])
def test_a_picture_without_end(monkeypatch, begin):
    monkeypatch.setattr("ssdreg_runtime.io.piped.MAX_PICTURE_BYTES", 1 << 20)
    endless = iter([begin, *[bytes(1 << 16)] * 40])
    with pytest.raises(DataError, match="holds a picture of more than 1 MiB"):
        list(split(endless))


def test_streams_of_files_know_what_they_are(folder):
    assert ImageFiles((folder / "0.bmp",)).name == str(folder / "0.bmp")
