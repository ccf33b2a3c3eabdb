"""Pictures of many pixels: decoded at a part of their size where that can be, or refused."""

from __future__ import annotations

import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.backends import open_backend
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.inference.streams import stream
from ssdreg_runtime.io import decoding
from ssdreg_runtime.io.decoding import decode_picture, open_picture
from ssdreg_runtime.io.images import prepare, read


def jpeg(width, height, **options):
    """A JPEG of 16x16 squares, each of one color."""
    colors = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(np.kron(colors, np.ones((16, 16, 1), np.uint8))).save(
        content, "JPEG", quality=95, **options)
    return content.getvalue()


def png_header(width, height):
    """A PNG that says how large it is, and holds no pixel."""
    def chunk(kind, content):
        return (len(content).to_bytes(4, "big") + kind + content
                + zlib.crc32(kind + content).to_bytes(4, "big"))
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides + b"\x08\x02\0\0\0")
            + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))


@pytest.fixture
def low(monkeypatch):
    """Bounds so low that a small picture is a large one."""
    monkeypatch.setattr(decoding, "MAX_PIXELS", 128 * 128)
    monkeypatch.setattr(decoding, "_REDUCED_PIXELS", 64 * 64)
    monkeypatch.setattr(decoding, "MAX_REDUCED_PIXELS", 512 * 512)


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(low, tmp_path):
    content = jpeg(320, 160)
    picture = decode_picture(content)
    assert (picture.size, picture.image.size) == ((320, 160), (80, 40))
    # four pixels of the reduced one are a square
    whole = np.asarray(Image.open(io.BytesIO(content)))[8::16, 8::16]
    apart = np.abs(np.asarray(picture.image)[2::4, 2::4].astype(int) - whole)
    assert apart.mean() < 4
    # one that is not large stays as it is
    small = jpeg(128, 128)
    picture = decode_picture(small)
    assert np.array_equal(picture.image, Image.open(io.BytesIO(small)))
    assert not picture.is_reduced


@pytest.mark.parametrize(("orientation", "size"), [(1, (320, 160)), (3, (320, 160)),
                                                   (6, (160, 320)), (8, (160, 320))])
def test_boxes_are_in_pixels_of_the_whole_picture(low, tmp_path, orientation, size):
    file = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    file.write_bytes(jpeg(320, 160, exif=exif))
    prepared = prepare(file, (32, 32))
    assert prepared.size == size
    assert read(file).shape == (size[1] // 4, size[0] // 4, 3)


def test_a_stream_gives_the_whole_size(low, tmp_path):
    detector = Detector.on(open_backend(tiny_model().SerializeToString()))
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(jpeg(320, 320))
    files = [str(tmp_path / name) for name in ("one.jpg", "two.jpg")]
    for result in stream(detector, files):
        assert result.detections.size == (320, 320)
        assert result.frame.pixels.shape == (40, 40, 3)
    assert [result.size for result in detector.detect(files)] == [(320, 320)] * 2


@pytest.mark.parametrize(("content", "says"), [
    (jpeg(320, 160, progressive=True), "320x160 pixels, more than the 16,384 that are decoded"),
    (jpeg(640, 640), "640x640 pixels, more than the 262,144 that are decoded"),
    (png_header(129, 128), "129x128 pixels, more than the 16,384"),
])
def test_what_is_too_large_is_refused_before_it_is_decoded(low, content, says):
    with pytest.raises(ValueError, match=says):
        decode_picture(content)


@pytest.mark.parametrize("sides", [(9_000, 9_000), (12_500, 12_500), (100_000, 100_000)])
def test_pillows_warning_is_not_shown(tmp_path, sides):
    file = tmp_path / "large.png"
    file.write_bytes(png_header(*sides))
    with warnings.catch_warnings(record=True) as shown:
        # as Python begins, where a filter of ours from another test is not there
        warnings.resetwarnings()
        with pytest.raises(DataError, match=r"pixels.*decoded of one picture"):
            read(file)
        with pytest.raises(ValueError, match="pixels"):
            open_picture(file)
    assert not shown
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"pixels.*decoded of one picture"):
            read(file)
