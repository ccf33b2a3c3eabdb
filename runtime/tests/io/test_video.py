"""Videos: read in order, damaged ones too, and written with their times."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from runtime_support.videos import SIZE, colors, damage, write_video
from ssdreg_runtime.errors import DataError, DependencyError
from ssdreg_runtime.inference.streams import open_streams
from ssdreg_runtime.io.video import VideoWriter, open_video

av = pytest.importorskip("av", reason="PyAV, which reads videos, is not installed")

CODECS = {"libx264": {"bf": "2", "g": "12"}, "mpeg4": {"g": "12", "b": "4M"}}


def read(path):
    return [decode() for decode in open_video(path).frames()]


def leftovers(folder, *wanted):
    return sorted(file.name for file in folder.iterdir() if file.name not in wanted)


# Reading

@pytest.mark.parametrize("codec", CODECS)
def test_frames_come_in_order_with_their_times(tmp_path, codec):
    pictures = list(colors(30))
    file = write_video(tmp_path / "clip.mp4", pictures, codec, **CODECS[codec])
    video = open_video(file)
    assert (video.name, video.unit, video.total, video.rate) == (str(file), "frame", 30, 25)
    frames = read(file)
    assert [frame.number for frame in frames] == list(range(1, 31))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(30)]
    for frame, picture in zip(frames, pictures):
        assert frame.error == ""
        assert frame.pixels.shape == picture.shape
        # the red quarter tells one frame from the next
        red = [each[4:24, 4:40, 0].astype(float).mean() for each in (frame.pixels, picture)]
        assert red[0] == pytest.approx(red[1], abs=3.9)
    assert frames[20].name == f"{file}, frame 21 (0.80 s)"


def test_uneven_times_are_exact(tmp_path):
    times = [Fraction(each, 25) for each in (0, 1, 5, 6, 20)]
    file = write_video(tmp_path / "clip.mkv", colors(5), times=times)
    # Matroska has whole milliseconds
    assert [frame.time for frame in read(file)] == times
    assert open_video(file).time_base == Fraction(1, 1000)


@pytest.mark.parametrize("name", ["clip.mjpeg", "clip.m4v", "clip.ts", "clip.avi", "clip.webm"])
def test_containers_that_know_little(tmp_path, name):
    codec = {"clip.mjpeg": "mjpeg", "clip.m4v": "mpeg4", "clip.ts": "libx264",
             "clip.avi": "mpeg4", "clip.webm": "libvpx-vp9"}[name]
    file = write_video(tmp_path / name, colors(8), codec)
    frames = read(file)
    assert [(frame.number, frame.error) for frame in frames] == [(index, "")
                                                                 for index in range(1, 9)]
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx(7 / 25, abs=1e-3)
    # each can be written again
    assert len(read(copied(file, tmp_path / "copy.mp4"))) == 8


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_frames_are_named_in_their_place(tmp_path, codec):
    file = write_video(tmp_path / "clip.mp4", colors(30), codec, **CODECS[codec])
    times = sorted(damage(file, [8, 20]))
    frames = read(file)
    assert [frame.number for frame in frames] == list(range(1, 31))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(30)]
    bad = [frame for frame in frames if frame.error]
    assert [frame.time for frame in bad] == times
    for frame in bad:
        assert frame.pixels is None
        name = f"{file}, frame {frame.time * 25 + 1} ({float(frame.time):.2f} s)"
        assert frame.error.startswith(f"{name} is damaged and was passed over: ")


def test_a_video_that_breaks_off(tmp_path):
    file = write_video(tmp_path / "clip.mp4", colors(30), movflags="faststart", bf="0")
    content = file.read_bytes()
    file.write_bytes(content[:len(content) * 2 // 3])
    frames = read(file)
    assert open_video(file).total == 30
    assert 5 < len(frames) < 30
    assert "the file breaks off here" in frames[-1].error
    assert not any(frame.error for frame in frames[:-1])


@pytest.mark.parametrize(("quarters", "matrix"), [
    (1, "00000000 00010000 00000000 ffff0000 00000000"),
    (3, "00000000 ffff0000 00000000 00010000 00000000")])
def test_a_camera_on_its_side_is_turned_upright(tmp_path, quarters, matrix):
    file = write_video(tmp_path / "clip.mp4", colors(2), "mpeg4")
    before = read(file)[0].pixels
    content = bytearray(file.read_bytes())
    place = content.index(b"tkhd") + 44  # of the matrix (ISO/IEC 14496-12, 8.3.2)
    content[place:place + 20] = bytes.fromhex(matrix)
    file.write_bytes(content)
    assert np.array_equal(read(file)[0].pixels, np.rot90(before, -quarters))


def only_sound(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def cut_short(path):
    write_video(path, colors(3))
    path.write_bytes(path.read_bytes()[:500])


def no_packets(path):
    write_video(path, [])


@pytest.mark.parametrize(("write", "sentence"), [
    (lambda path: path.write_text("a poem"), "clip.mp4 cannot be read as a video: Invalid data"),
    (lambda path: path.write_bytes(b""), "clip.mp4 cannot be read as a video: "),
    (cut_short, "clip.mp4 cannot be read as a video: Invalid data"),
    (only_sound, "clip.mp4 has no moving pictures in it: give a video"),
])
def test_what_is_no_video(tmp_path, write, sentence):
    write(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match=sentence) as caught:
        open_streams([tmp_path / "clip.mp4"])
    assert "\n" not in str(caught.value)


def test_without_pyav(tmp_path, monkeypatch):
    file = write_video(tmp_path / "clip.mp4", colors(2))
    monkeypatch.setitem(sys.modules, "av", None)  # importing it now fails
    with pytest.raises(DependencyError, match=r"run `pip install 'av>=\d+\.\d+'`"):
        open_streams([file])


# Writing

def copied(source, target):
    video = open_video(source)
    with VideoWriter(target, video) as writer:
        for decode in video.frames():
            frame = decode()
            writer.write(Image.fromarray(frame.pixels), frame.time)
    return target


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
@pytest.mark.parametrize("ticks", [range(7), (0, 1, 2, 5, 6, 7, 20), range(3, 10)])
def test_size_and_times_are_kept(tmp_path, name, ticks):
    source = write_video(tmp_path / name, colors(7), "mpeg4",
                         [Fraction(tick, 25) for tick in ticks])
    target = copied(source, tmp_path / "new" / "copy.mp4")
    before, after = read(source), read(target)
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert [frame.pixels.shape for frame in after] == [frame.pixels.shape for frame in before]
    for old, new in zip(before, after):
        assert np.abs(old.pixels.astype(int) - new.pixels).mean() < 12
    assert leftovers(tmp_path / "new", "copy.mp4") == []


def test_the_rate_is_kept(tmp_path):
    source = write_video(tmp_path / "clip.mkv", colors(10))
    copy = open_video(copied(source, tmp_path / "copy.mp4"))
    assert (copy.rate, copy.total) == (open_video(source).rate, 10) == (25, 10)


def test_odd_sides_are_kept(tmp_path):
    like = open_video(write_video(tmp_path / "clip.mp4", colors(1)))
    with VideoWriter(tmp_path / "odd.mp4", like) as writer:
        writer.write(Image.new("RGB", (51, 37), "green"), Fraction(0))
    assert read(tmp_path / "odd.mp4")[0].pixels.shape == (37, 51, 3)


def test_times_that_go_back_are_moved_on(tmp_path):
    like = open_video(write_video(tmp_path / "clip.mp4", colors(1)))
    with VideoWriter(tmp_path / "copy.mp4", like) as writer:
        for time in (0, Fraction(2, 25), Fraction(1, 25), Fraction(3, 25)):
            writer.write(Image.new("RGB", SIZE), time)
    times = [frame.time for frame in read(tmp_path / "copy.mp4")]
    assert times[::3] == [0, Fraction(3, 25)]
    assert sorted(set(times)) == times


def test_a_video_is_whole_or_not_there(tmp_path):
    source = write_video(tmp_path / "clip.mp4", colors(3))
    target = tmp_path / "copy.mp4"
    target.write_text("an older one")
    writer = VideoWriter(target, open_video(source))
    for index in range(60):
        writer.write(Image.new("RGB", SIZE), Fraction(index, 25))
    assert len(leftovers(tmp_path, "clip.mp4", "copy.mp4")) == 1
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    # and without a picture there is no video
    with VideoWriter(target, open_video(source)):
        pass
    assert target.read_text() == "an older one"
    assert leftovers(tmp_path, "clip.mp4", "copy.mp4") == []


def test_where_nothing_can_be_written(tmp_path):
    like = open_video(write_video(tmp_path / "clip.mp4", colors(1)))
    (tmp_path / "copy.mp4").mkdir()
    (tmp_path / "copy.mp4" / "something").touch()
    writer = VideoWriter(tmp_path / "copy.mp4", like)
    writer.write(Image.new("RGB", SIZE), Fraction(0))
    with pytest.raises(OSError, match=r"copy\.mp4"):
        writer.__exit__(None, None, None)
    assert leftovers(tmp_path, "clip.mp4", "copy.mp4") == []
