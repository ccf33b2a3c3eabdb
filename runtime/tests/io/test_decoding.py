"""JPEG files that break off: decoded as far as they go where little is missing, and said."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime import DataError
from ssdreg_runtime.io.decoding import MOST_MISSING, decode_picture
from ssdreg_runtime.io.images import read
from ssdreg_runtime.io.pictures import read_picture

RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize(
    (320, 240), Image.Resampling.BICUBIC)


def jpeg(**options: object) -> bytes:
    stream = io.BytesIO()
    SMOOTH.save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


@pytest.mark.parametrize("lacks", [1, 2, 5, 12])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0},
                                     {"restart_marker_rows": 1}])
def test_a_few_bytes_are_missing(lacks, options):
    whole = jpeg(**options)
    cut = decode_picture(whole[:-lacks])
    assert "cut short by its end" in cut.missing
    assert cut.content == whole[:-lacks] + b"\xff\xd9"
    assert cut.image.size == SMOOTH.size
    there = np.asarray(decode_picture(whole).image)
    differ = np.abs(np.asarray(cut.image).astype(int) - there).max(axis=2) > 16
    assert differ.mean() <= MOST_MISSING
    # what anybody decodes of these bytes is the same
    again = decode_picture(cut.content)
    assert (np.array_equal(again.image, cut.image), again.missing) == (True, "")


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_much_is_missing(options):
    whole = jpeg(**options)
    for length in (len(whole) // 3, 700, 100):
        with pytest.raises(OSError, match=r"[Tt]runcated|cannot identify"):
            decode_picture(whole[:length])


def test_a_cut_png_is_no_picture():
    stream = io.BytesIO()
    SMOOTH.save(stream, "PNG")
    with pytest.raises((OSError, SyntaxError)):
        decode_picture(stream.getvalue()[:-40])


def test_detection_takes_what_is_there_and_says_so(tmp_path, caplog):
    file = tmp_path / "cut.jpg"
    file.write_bytes(jpeg()[:-5])
    pixels = read(file)
    assert np.array_equal(pixels, read_picture(file, "cut.jpg").pixels)
    assert pixels.shape == (240, 320, 3)
    assert [record.message.split(" of its")[0].rsplit(" ", 1)[0] for record in caplog.records] == [
        f"ssdreg: {file} is cut short by its end, which takes",
        "ssdreg: cut.jpg is cut short by its end, which takes"]
    file.write_bytes(jpeg()[:2000])
    with pytest.raises(DataError, match="cannot be read as an image"):
        read(file)
