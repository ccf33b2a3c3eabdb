"""Anything that is an image, read and resized; what is none, refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime import DataError
from ssdreg_runtime.io.images import prepare, read, resize

RAMP = np.linspace(0, 255, 48 * 32).astype(np.uint8).reshape(32, 48)
COLOURS = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])


def drawn(height, width):
    return np.random.default_rng(height * 1000 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8)


# Reading

def test_a_file_an_image_of_pillow_and_an_array_are_the_same(tmp_path):
    file = tmp_path / "one.png"
    Image.fromarray(COLOURS).save(file)
    for image in (file, str(file), Image.fromarray(COLOURS), COLOURS):
        assert np.array_equal(read(image), COLOURS)
        assert read(image).dtype == np.uint8


@pytest.mark.parametrize("grey", [RAMP, RAMP[:, :, None], Image.fromarray(RAMP)])
def test_grey_is_the_same_in_all_channels(grey):
    assert np.array_equal(read(grey), np.dstack([RAMP] * 3))


def test_a_camera_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(RAMP).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read(tmp_path / "turned.png")[..., 0], np.rot90(RAMP, -1))


def test_16_bits_keep_their_upper_8(tmp_path):
    Image.fromarray(RAMP.astype(np.uint16) * 256 + 77).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png"), np.dstack([RAMP] * 3))


def test_transparency_of_an_image_is_dropped():
    assert np.array_equal(read(Image.fromarray(np.dstack([COLOURS, RAMP]))), COLOURS)


@pytest.mark.parametrize(("image", "sentence"), [
    (np.zeros((4, 5, 4), np.uint8), r"an array of shape \(4, 5, 4\) is no image: give \(height, "
                                    r"width, 3\), red first, or \(height, width\) for grey"),
    (np.zeros((3, 4, 5), np.uint8), r"an array of shape \(3, 4, 5\) is no image"),
    (np.zeros(7, np.uint8), r"an array of shape \(7,\) is no image"),
    (np.zeros((2, 2, 3), np.float32), "an array of float32 is no image: give uint8, 0 to 255; "
                                      "multiply fractions of 0 to 1 by 255"),
    (np.zeros((2, 2, 3), np.int64), "an array of int64 is no image: give uint8, 0 to 255$"),
    (np.zeros((0, 5, 3), np.uint8), "an image of 5x0 pixels has none"),
    (Image.new("RGB", (0, 3)), "an image of 0x3 pixels has none"),
    (Image.new("F", (2, 2)), "its pixels are fractions"),
    (Path("nowhere.jpg"), "nowhere.jpg is not there: give an image"),
    (b"\xff\xd8", "bytes is no image: give a file's name, an image of Pillow, or an array"),
    (None, "NoneType is no image"),
])
def test_what_is_no_image(image, sentence):
    with pytest.raises(DataError, match=sentence):
        read(image)


def test_files_that_are_no_image(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(drawn(64, 64)).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, sentence in (("cut.jpg", "truncated"), ("text.jpg", "its format is not known"),
                           ("empty.png", "its format is not known")):
        with pytest.raises(DataError, match=rf"{name} cannot be read as an image: .*{sentence}"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="is a folder: give the images in it"):
        read(tmp_path)


def test_an_open_image_that_breaks_off(tmp_path):
    file = tmp_path / "cut.jpg"
    Image.fromarray(drawn(64, 64)).save(file)
    file.write_bytes(file.read_bytes()[:900])
    with Image.open(file) as image, pytest.raises(DataError, match=r"the image cannot be read: .*"
                                                                   r"truncated"):
        read(image)


def test_an_image_of_pillow_is_taken_as_it_lies(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOURS).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert np.array_equal(read(image), COLOURS)


# Resizing; that it is MXNet's to the bit is tested where MXNet is

def test_the_same_size_is_the_same_image():
    image = drawn(20, 30)
    assert np.array_equal(resize(image, (20, 30)), image)
    assert np.array_equal(resize(image[:, ::-1], (20, 30)), image[:, ::-1])


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (300, 300), (2, 700)])
@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (1, 128, 254)])
def test_one_colour_stays_that_colour(shape, color):
    resized = resize(np.full((50, 60, 3), color, np.uint8), shape)
    assert (resized.shape, resized.dtype) == ((*shape, 3), np.uint8)
    assert np.all(resized == color)


def test_half_the_size_is_the_mean_of_four():
    image = drawn(40, 60).astype(int)
    mean = (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2] + 2) // 4
    assert np.array_equal(resize(image.astype(np.uint8), (20, 30)), mean)


def test_axes_and_channels_are_not_mixed_up():
    ramp = np.zeros((10, 10, 3), np.uint8)
    ramp[:, :, 0] = np.arange(10) * 20
    ramp[:, :, 1] = (np.arange(10) * 20)[:, None]
    resized = resize(ramp, (40, 80)).astype(int)
    assert np.all(resized[:, :, 0] == resized[:1, :, 0])
    assert np.all(np.diff(resized[0, :, 0]) >= 0)
    assert np.all(resized[:, :, 1] == resized[:, :1, 1])
    assert np.all(np.diff(resized[:, 0, 1]) >= 0)
    assert not resized[:, :, 2].any()


@pytest.mark.parametrize("shape", [(31, 17), (200, 300), (500, 20)])
def test_an_array_in_another_order_is_resized_as_its_copy(shape):
    image = drawn(90, 70)
    for view in (image[:, :, ::-1], image[::-1, ::2], image.transpose(1, 0, 2),
                 np.asfortranarray(image)):
        assert np.array_equal(resize(view, shape), resize(view.copy("C"), shape))


@pytest.mark.parametrize(("given", "wanted"), [
    ((600, 500), (1200, 900)), ((1080, 192), (300, 300)), ((1, 1), (9, 7)), ((1, 50), (40, 3)),
    ((50, 1), (3, 40)), ((2, 900), (300, 2)), ((37, 53), (36, 54)), ((480, 640), (300, 300))])
def test_working_in_blocks_on_the_rows_that_are_needed_changes_nothing(given, wanted):
    image = drawn(*given)
    assert np.array_equal(resize(image, wanted), resized_plainly(image, *wanted))


def resized_plainly(image, height, width):
    """Resize as OpenCV does, all at once: 11 bits a weight, 7 and then 2 behind the point."""
    def axis(wanted, given):
        at = ((np.arange(wanted) + 0.5) * (1 / (wanted / given)) - 0.5).astype(np.float32)
        share = at - np.floor(at)
        return np.floor(at).astype(int), share, given - 1

    column, share, last = axis(width, image.shape[1])
    share[(column < 0) | (column >= last)] = 0
    weights = np.rint((1 - share) * 2048).astype(int), np.rint(share * 2048).astype(int)
    across = sum(image[:, np.clip(column + step, 0, last)].astype(int) * weights[step][:, None]
                 for step in (0, 1)) >> 4
    row, share, last = axis(height, image.shape[0])
    weights = np.rint((1 - share) * 2048).astype(int), np.rint(share * 2048).astype(int)
    both = sum(across[np.clip(row + step, 0, last)] * weights[step][:, None, None] >> 16
               for step in (0, 1))
    return (both + 2 >> 2).astype(np.uint8)


def test_prepared_images_know_their_own_size():
    prepared = prepare(drawn(30, 90), (10, 20))
    assert prepared.pixels.shape == (10, 20, 3)
    assert prepared.size == (90, 30)
