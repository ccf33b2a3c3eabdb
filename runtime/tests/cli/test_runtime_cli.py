"""The command `ssdreg-detect`: files, folders, videos and standard input, good and bad."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from attrs import frozen
from PIL import Image
from runtime_support.tiny_model import picture, tiny_model
from ssdreg_runtime.backends import installed
from ssdreg_runtime.cli.main import main
from ssdreg_runtime.cli.stream_progress import StreamProgress
from ssdreg_runtime.io.pictures import ImageFiles

pytestmark = pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is "
                                                        "installed")
RED, GREEN, BLACK = (200, 0, 0), (0, 100, 0), (0, 0, 0)
COLOURS = (RED, GREEN, RED, BLACK)


@frozen
class Done:
    """What the command returned and wrote."""

    status: int
    out: str
    err: str


@pytest.fixture
def detect(capsys, tmp_path, monkeypatch):
    """Call the command in this process, with one thread and `data` as standard input."""
    def call(*arguments, data=None):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "stdin").write_bytes(data or b"")
        with (tmp_path / "stdin").open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            capsys.readouterr()
            try:
                status = main([*map(str, arguments), "--threads", "1"])
            except SystemExit as stop:
                status = int(stop.code or 0)
        (tmp_path / "stdin").unlink()
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def model(tmp_path):
    onnx.save(tiny_model(), str(tmp_path / "tiny.onnx"))
    return tmp_path / "tiny.onnx"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "images"
    made.mkdir()
    for name in ("b.png", "a.jpg"):
        Image.fromarray(picture(COLOURS, (64, 48))).save(made / name, quality=95)
    return made


def jpeg():
    file = io.BytesIO()
    Image.fromarray(picture(COLOURS, (64, 48))).save(file, "JPEG", quality=95)
    return file.getvalue()


def files(folder):
    return sorted(each.name for each in folder.rglob("*"))


# Pictures

def test_pictures_are_drawn(detect, model, folder, tmp_path):
    done = detect(model, folder, "--out", "drawn")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{folder / 'a.jpg'}: 2 red -> drawn/a.png", f"{folder / 'b.png'}: 2 red -> drawn/b.png"]
    assert files(tmp_path / "drawn") == ["a.png", "b.png"]
    with Image.open(tmp_path / "drawn" / "a.png") as drawn:
        # small pictures are enlarged
        assert drawn.size == (320, 240)
    done = detect(model, folder / "a.jpg", "--threshold", "0.3")
    assert done.out == f"{folder / 'a.jpg'}: 2 red, 1 green -> predictions/a.png\n"


def test_what_is_drawn_can_be_chosen(detect, model, folder, tmp_path):
    def drawn(*options):
        assert detect(model, folder / "b.png", "--out", "drawn", *options).status == 0
        with Image.open(tmp_path / "drawn" / "b.png") as picture:
            return np.asarray(picture.convert("RGB")).astype(int)

    usual, alone = drawn(), drawn("--hide-labels")
    changed = (usual != alone).any(axis=2)
    # the plates of two labels, and nothing of the boxes beside them
    assert 1000 < changed.sum() < 2500
    without_scores = (drawn("--hide-scores") != alone).any(axis=2)
    assert 0 < without_scores.sum() < 0.7 * changed.sum()
    assert (drawn("--hide-labels", "--hide-scores") == alone).all()
    assert (drawn("--hide-labels", "--font-size", "30") == alone).all()
    assert (drawn("--font-size", "30") != alone).any(axis=2).sum() > 2 * changed.sum()
    thick = (drawn("--hide-labels", "--line-width", "12") != alone).any(axis=2)
    assert thick[:, 2:30].any()
    assert not thick[:, 30:60].all(axis=0).any()


def test_objects_are_lines_of_json(detect, model, folder, tmp_path):
    before = files(tmp_path)
    done = detect(model, folder, "--json-lines", "--threshold", "0.3")
    assert (done.status, done.err) == (0, "")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each["image"] for each in found] == [str(folder / name) for name in ("a.jpg", "b.png")]
    assert found[1] == {
        "image": str(folder / "b.png"), "width": 64, "height": 48, "objects": [
            {"class": "red", "score": 0.7843, "box": [0.0, 0.0, 32.0, 24.0]},
            {"class": "red", "score": 0.7843, "box": [0.0, 24.0, 32.0, 48.0]},
            {"class": "green", "score": 0.3922, "box": [32.0, 0.0, 64.0, 24.0]}]}
    assert files(tmp_path) == before


def test_bad_pictures_are_named_and_counted(detect, model, folder, tmp_path):
    (folder / "c.jpg").write_bytes(jpeg()[:-200])
    (folder / "d.png").write_text("a poem")
    done = detect(model, folder, "--out", "drawn")
    assert done.status == 1
    assert len(done.out.splitlines()) == 2
    first, second, last = done.err.splitlines()
    assert first.startswith(f"ssdreg-detect: {folder / 'c.jpg'} cannot be read as an image and was "
                            f"passed over: ")
    assert second == (f"ssdreg-detect: {folder / 'd.png'} cannot be read as an image and was "
                      f"passed over: its format is not known")
    assert last == "2 of 4 pictures could not be read"
    assert files(tmp_path / "drawn") == ["a.png", "b.png"]


def test_names_in_a_list(detect, model, folder):
    names = f"{folder / 'b.png'}\r\n\n{folder / 'a.jpg'}\n{folder / 'b.png'}"
    done = detect(model, "--list", "-", "--json-lines", data=names.encode())
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == [
        str(folder / "b.png"), str(folder / "a.jpg")]
    (folder / "names.txt").write_text(names)
    assert detect(model, "--list", folder / "names.txt", "--json-lines").out == done.out


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux only")
def test_names_that_are_no_letters(detect, model, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(picture(COLOURS)).save(tmp_path / name)
    done = detect(model, name, "--out", "drawn")
    assert (done.status, done.out) == (0, "caf\\udce9.png: 2 red -> drawn/caf\\udce9.png\n")
    assert json.loads(detect(model, name, "--json-lines").out)["image"] == name


# Standard input

def test_pictures_in_standard_input(detect, model, tmp_path):
    done = detect(model, "-", "--out", "drawn", data=jpeg() * 2 + jpeg()[:-200])
    assert done.status == 1
    assert done.out.splitlines() == [
        f"standard input, image {number}: 2 red -> drawn/standard-input-00000{number}.png"
        for number in (1, 2)]
    assert done.err.splitlines()[0].startswith(
        "ssdreg-detect: standard input, image 3 cannot be read as an image and was passed over: ")
    assert files(tmp_path / "drawn") == [
        "standard-input-000001.png", "standard-input-000002.png"]
    done = detect(model, "-", "--json-lines", data=jpeg() * 2)
    assert [(each["image"], each["number"], each["width"])
            for each in map(json.loads, done.out.splitlines())] == [
        ("standard input", 1, 64), ("standard input", 2, 64)]


@pytest.fixture
def piped(model):
    """Start the command as a process that reads pictures from a pipe."""
    with subprocess.Popen(
            [sys.executable, "-m", "ssdreg_runtime", str(model), "-", "--json-lines", "--threads",
             "1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_each_picture_is_answered_at_once_and_an_interruption_ends_it(piped):
    for number in (1, 2):
        piped.stdin.write(jpeg())
        piped.stdin.flush()
        # the pipe stays open: nothing may wait for more pictures
        assert json.loads(piped.stdout.readline())["number"] == number
    piped.send_signal(signal.SIGINT)
    # still open
    assert piped.wait(timeout=60) == 130
    assert (piped.stdout.read(), piped.stderr.read()) == (b"", b"ssdreg-detect: interrupted\n")


def test_a_reader_that_goes_away_ends_it_without_a_word(piped):
    piped.stdin.write(jpeg())
    piped.stdin.flush()
    assert piped.stdout.readline()
    piped.stdout.close()
    piped.stdin.write(jpeg() * 2)
    piped.stdin.flush()
    assert piped.wait(timeout=60) == 2
    assert piped.stderr.read() == b""


# Videos

@pytest.fixture
def clip(tmp_path):
    pytest.importorskip("av", reason="PyAV, which reads videos, is not installed")
    from runtime_support.videos import colors, write_video
    return write_video(tmp_path / "clip.mp4", colors(12), "mpeg4", g="12")


def test_a_video_is_drawn(detect, model, clip, tmp_path):
    from ssdreg_runtime.io.video import open_video
    for out, target in (("drawn", "drawn/clip.mp4"), ("new.mp4", "new.mp4")):
        done = detect(model, clip, "--out", out)
        assert (done.status, done.err) == (0, "")
        assert done.out == f"{clip}: 12 frames, 12 red -> {target}\n"
        drawn, given = (list(open_video(file).frames()) for file in (tmp_path / target, clip))
        for new, old in zip(drawn, given):
            assert (new().time, new().pixels.shape) == (old().time, old().pixels.shape)
            # the box is drawn into it, at its own size
            assert np.abs(new().pixels.astype(int) - old().pixels).max() > 60
        assert len(drawn) == 12


def test_damaged_frames_are_named_and_counted(detect, model, clip):
    from runtime_support.videos import damage
    damage(clip, [5])
    done = detect(model, clip, "--json-lines")
    assert done.status == 1
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each["frame"] for each in found] == [*range(1, 6), *range(7, 13)]
    assert [each["time"] for each in found][:3] == [0, 0.04, 0.08]
    assert list(found[0]) == ["video", "frame", "time", "width", "height", "objects"]
    first, last = done.err.splitlines()
    assert first.startswith(f"ssdreg-detect: {clip}, frame 6 (0.20 s) is damaged and was passed "
                            f"over: ")
    assert last == "1 of 12 pictures could not be read"
    done = detect(model, clip, "--out", "drawn")
    assert done.out == f"{clip}: 11 frames, 11 red -> drawn/clip.mp4\n"


def test_pictures_and_videos_in_one_call(detect, model, folder, clip):
    done = detect(model, folder / "b.png", clip, folder, "-", "--json-lines", data=jpeg())
    names = [each.get("image") or each["video"]
             for each in map(json.loads, done.out.splitlines())]
    assert names == [str(folder / "b.png"), *[str(clip)] * 12, str(folder / "a.jpg"),
                     "standard input"]


def test_options_may_stand_anywhere(detect, model, folder):
    first = detect(model, "--json-lines", "--threshold", "0.2", folder / "b.png")
    assert first.status == 0
    assert detect(model, folder / "b.png", "--threshold", "0.2", "--json-lines").out == first.out


# What is saved besides

def test_objects_are_saved_for_other_programs(detect, model, folder, tmp_path):
    below = folder / "more" / "deep"
    below.mkdir(parents=True)
    (folder / "more" / "back").symlink_to(folder)
    Image.fromarray(picture(COLOURS, (32, 24))).save(below / "a.png")
    done = detect(model, folder, "--recursive", "--save-crops", "--save-txt", "--save-coco",
                  "--threshold", "0.3", "--out", "drawn")
    assert (done.status, done.err) == (0, "")
    assert len(done.out.splitlines()) == 3
    out = tmp_path / "drawn"
    assert files(out / "labels") == ["a-2.txt", "a.txt", "b.txt"]
    assert (out / "classes.txt").read_text().splitlines()[:2] == ["red", "green"]
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [
        str(path) for path in (folder / "a.jpg", folder / "b.png", below / "a.png")]
    assert [category["id"] for category in coco["categories"]] == [1, 2, 3]
    for number, name in enumerate(("a", "b", "a-2"), 1):
        rows = [line.split() for line in (out / "labels" / f"{name}.txt").read_text().splitlines()]
        assert [row[0] for row in rows] == ["0", "0", "1"]
        width, height = (32, 24) if name == "a-2" else (64, 48)
        boxes = np.array([row[1:] for row in rows], float) * [width, height, width, height]
        own = [each for each in coco["annotations"] if each["image_id"] == number]
        assert [each["category_id"] for each in own] == [1, 1, 2]
        for each, (x, y, across, down) in zip(own, boxes):
            assert each["bbox"] == pytest.approx([x - across / 2, y - down / 2, across, down],
                                                 abs=0.02)
        crops = sorted((out / "crops").glob(f"*/{name}-[0-9].png"))
        assert [crop.parent.name for crop in crops] == ["green", "red", "red"]
    with Image.open(out / "crops" / "red" / "b-1.png") as crop:
        assert crop.getpixel((crop.width // 2, crop.height // 2))[0] > 100
    assert not [name for name in files(out) if name.startswith(".")]


def test_frames_are_saved_by_their_number(detect, model, clip, tmp_path):
    done = detect(model, clip, "--json-lines", "--save-txt", "--save-coco", "--out", "saved")
    assert done.status == 0
    frames = len(done.out.splitlines())
    assert files(tmp_path / "saved" / "labels") == [
        f"clip-{number:06d}.txt" for number in range(1, frames + 1)]
    coco = json.loads((tmp_path / "saved" / "coco.json").read_text())
    assert coco["images"][1]["file_name"] == "clip-000002.png"


def test_objects_that_are_wanted(detect, model, folder):
    def classes(*options):
        done = detect(model, folder / "b.png", "--threshold", "0.3", "--json-lines", *options)
        return [each["class"] for each in json.loads(done.out)["objects"]]

    assert classes() == ["red", "red", "green"]
    assert classes("--only", "green") == ["green"]
    assert classes("--only", "green,red", "--max-det", "2") == ["red", "red"]


# What is refused

@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere"], "nowhere is not there: give an image or a folder of images, or a video"),
    (["nowhere.mp4"], "nowhere.mp4 is not there: give an image"),
    ([], "the following arguments are required: IMAGE|DIR|VIDEO|CAMERA|-"),
    (["--list", "nowhere.txt"], "nowhere.txt: No such file or directory"),
    (["--list", "/dev/null"], "/dev/null names nothing to look at"),
    (["-"], "standard input holds no JPEG or PNG picture: pipe pictures into it"),
    (["empty"], "empty holds no image (.bmp, .gif, "),
    (["images", "--threshold", "50"], "--threshold 50 is no score: give one of 0 to 1"),
    (["images", "--line-width", "0"],
     "a line width of 0 pixels cannot be drawn: give a whole number of 1 to 100"),
    (["images", "--font-size", "1000"],
     "a font size of 1000 pixels cannot be drawn: give a whole number of 6 to 400"),
    (["images", "--font-size", "large"], "argument --font-size: invalid int value: 'large'"),
    (["images", "--out", "drawn.mp4"], "--out drawn.mp4 is a video, which is drawn from one video"),
    (["images", "--save-txt", "--out", "drawn.mp4"], "--out drawn.mp4 is a video, and crops, labe"),
    (["images", "--track"], "--track follows objects from frame to frame, and 2 images is no "),
    (["empty", "--recursive"], "and neither does a folder in it"),
    (["images", "--only", "gren"], "--only gren: the detector has no class of that name; did you "),
    (["images", "--device", "tpu"], "--device 'tpu' is no device that runs a model file"),
    (["images", "--out", "drawn.avi"], "--out drawn.avi: videos are written as .mp4 only"),
    (["images", "--out", "images"], "images/b.png is one of the images and would be replaced"),
    (["images", "--out", "tiny.onnx"], "tiny.onnx"),
    (["images", "--threads", "none"], "argument --threads: invalid int value"),
])
def test_what_is_refused(detect, model, folder, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    before = files(tmp_path)
    done = detect(model, *arguments)
    assert (done.status, done.out) == (2, "")
    assert sentence in done.err
    assert done.err.splitlines()[-1].startswith("ssdreg-detect: ")
    assert files(tmp_path) == before


@pytest.mark.parametrize(("out", "sentence"), [
    (".", "clip.mp4 is one of the images and would be replaced"),
    ("clip.mp4", "--out clip.mp4 is the video that is looked at: choose another name")])
def test_a_video_is_not_replaced(detect, model, clip, out, sentence):
    before = clip.read_bytes()
    done = detect(model, "clip.mp4", "--out", out)
    assert (done.status, done.out) == (2, "")
    assert sentence in done.err
    assert clip.read_bytes() == before


def test_bad_models_are_refused(detect, model, folder):
    model.write_bytes(model.read_bytes()[:300])
    done = detect(model, folder)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith("ssdreg-detect: ")
    assert "tiny.onnx" in done.err


# The progress line

class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal(monkeypatch, capsys, tmp_path):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with StreamProgress([ImageFiles([tmp_path] * 4)]) as progress:
        progress.advance()
        progress._progress._bar.refresh()  # which it does by itself after half a second
        progress.print_line("a line")
        progress.print_error("a complaint")
    assert capsys.readouterr().out == "a line\n"
    assert " 25% " in terminal.getvalue()
    assert "1/4, " in terminal.getvalue()
    assert "images/s" in terminal.getvalue()
    assert "a complaint\n" in terminal.getvalue()
