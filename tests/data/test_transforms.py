"""Augmentation: boxes stay on their pixels through every change, and chance keeps its shares."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from ssdreg.data import Augmentation
from ssdreg.data.transforms import (
    Canvas,
    Window,
    augment,
    draw_color,
    draw_window,
    fit,
)

SHAPE = (96, 128)
#: Nothing happens, but for what a test turns on.
NOTHING = Augmentation(crop_probability=0, pad_probability=0, mirror_probability=0,
                       color_probability=0)
ORANGE, GREY = (220, 120, 20), (40, 40, 40)


def picture(box=(60, 60, 180, 180), size=(320, 240), color=ORANGE):
    """A grey picture with a rectangle where its box is; (h, w, 3) uint8 and (1, 6)."""
    pixels = np.full((size[1], size[0], 3), GREY, np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = color
    return pixels, np.array([[2, *box, 1]], float)


def found(pixels, color=ORANGE, within=60):
    """The edges of a color in (3, H, W), in pixels; None where there is none."""
    there = (np.abs(pixels - np.array(color)[:, None, None]).max(axis=0) < within)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def in_pixels(boxes, shape=SHAPE):
    return boxes[:, 1:5] * (shape[1], shape[0], shape[1], shape[0])


@pytest.mark.parametrize("changes", [
    {"crop_probability": 1.0}, {"pad_probability": 1.0}, {"mirror_probability": 1.0},
    {"crop_probability": 1.0, "pad_probability": 1.0, "mirror_probability": 0.5},
    {"crop_probability": 1.0, "crop_aspect": (0.2, 5.0)}], ids=str)
def test_boxes_stay_on_their_pixels(changes):
    recipe, seen = attrs.evolve(NOTHING, **changes), 0
    for seed in range(60):
        pixels, boxes = augment([picture()], SHAPE, recipe, np.random.default_rng(seed))
        assert pixels.shape == (3, *SHAPE)
        assert pixels.dtype == np.float32
        edges = found(pixels)
        assert boxes[:, [0, 5]].tolist() == [[2, 1]] * len(boxes)
        assert len(boxes) <= 1
        for box in in_pixels(boxes):
            # interpolation blurs an edge by a pixel of the smaller grid
            np.testing.assert_allclose(box, edges, atol=2.5)
            seen += 1
    assert seen > 50


def test_the_whole_picture_is_what_detection_takes():
    from ssdreg_runtime.io.images import prepare
    image, boxes = picture()
    pixels, shares = fit(image, boxes, SHAPE)
    np.testing.assert_array_equal(pixels, prepare(image, SHAPE).pixels.transpose(2, 0, 1))
    assert shares.tolist() == [[2, 60 / 320, 60 / 240, 180 / 320, 180 / 240, 1]]
    same, _ = augment([(image, boxes)], SHAPE, NOTHING, np.random.default_rng(0))
    np.testing.assert_array_equal(same, pixels)


def test_padding_is_grey_and_the_picture_whole():
    recipe = attrs.evolve(NOTHING, pad_probability=1.0, pad_scale=3.0, pad_value=200)
    for seed in range(20):
        pixels, boxes = augment([picture()], SHAPE, recipe, np.random.default_rng(seed))
        shares = boxes[0, 3:5] - boxes[0, 1:3]
        assert len(boxes) == 1
        padded = (np.abs(pixels - 200).max(axis=0) < 1).mean()
        # the box was 120 of 320 wide; it is as much smaller as the picture
        scale = 120 / 320 / shares[0]
        assert 0.99 <= scale <= 3.05
        assert padded == pytest.approx(1 - 1 / scale**2, abs=0.05)


def test_a_mirrored_picture():
    recipe = attrs.evolve(NOTHING, mirror_probability=1.0)
    pixels, boxes = augment([picture()], SHAPE, recipe, np.random.default_rng(0))
    plain, _ = fit(*picture(), SHAPE)
    np.testing.assert_array_equal(pixels, plain[:, :, ::-1])
    assert boxes[0, [1, 3]].tolist() == [1 - 180 / 320, 1 - 60 / 320]


def test_an_object_stays_while_its_center_is_inside():
    pixels, boxes = picture()
    canvas = Canvas.filled(SHAPE, 0)
    center = 120
    assert len(canvas.paint(pixels, boxes, Window(center - 1, 0, 320, 240))) == 1
    assert len(canvas.paint(pixels, boxes, Window(center + 1, 0, 320, 240))) == 0
    (kept,) = canvas.paint(pixels, boxes, Window(100, 0, 320, 240))
    assert kept[1] == 0  # what is outside is cut off


def test_crops_overlap_an_object_as_much_as_they_promise():
    _, boxes = picture()
    for overlap in (0.1, 0.5, 0.7):
        recipe = attrs.evolve(NOTHING, crop_probability=1.0, crop_overlaps=(overlap,))
        seen = 0
        for seed in range(100):
            window = draw_window(320, 240, boxes, recipe, np.random.default_rng(seed))
            if window == Window(0, 0, 320, 240):
                continue  # no trial found one
            seen += 1
            assert 0 <= window.x1 < window.x2 <= 320
            assert 0 <= window.y1 < window.y2 <= 240
            across = min(window.x2, 180) - max(window.x1, 60)
            down = min(window.y2, 180) - max(window.y1, 60)
            area = window.width * window.height
            assert across * down / (area + 120 * 120 - across * down) >= overlap - 1e-9
        assert seen > 10


def test_crops_keep_to_scale_and_aspect():
    recipe = attrs.evolve(NOTHING, crop_probability=1.0, crop_overlaps=(0.0,),
                          crop_scale=(0.4, 0.6), crop_aspect=(0.5, 2.0))
    random = np.random.default_rng(0)
    for _ in range(200):
        window = draw_window(320, 240, np.zeros((0, 6)), recipe, random)
        across, down = window.width / 320, window.height / 240
        assert 0.4 <= np.sqrt(across * down) <= 0.6
        assert 0.5 <= across / down <= 2.0


def test_a_picture_without_objects_is_cropped_too():
    recipe = attrs.evolve(NOTHING, crop_probability=1.0)
    windows = {draw_window(320, 240, np.zeros((0, 6)), recipe, np.random.default_rng(seed))
               for seed in range(20)}
    assert len(windows) == 20
    padded = attrs.evolve(Augmentation(), crop_probability=1.0, pad_probability=1.0)
    for seed in range(200):
        window = draw_window(320, 240, np.zeros((0, 6)), padded, np.random.default_rng(seed))
        # what lies around the picture is no background to learn from
        assert 0 <= (window.x1 + window.x2) / 2 < 320
        assert 0 <= (window.y1 + window.y2) / 2 < 240
    pixels, boxes = augment([(picture()[0], np.zeros((0, 6)))], SHAPE, recipe,
                            np.random.default_rng(0))
    assert boxes.shape == (0, 6)
    assert np.isfinite(pixels).all()


@pytest.mark.parametrize("name", ["crop", "pad", "mirror", "color"])
def test_chances(name):
    random = np.random.default_rng(0)
    recipe = attrs.evolve(NOTHING, **{f"{name}_probability": 0.3})
    plain, _ = fit(*picture(), SHAPE)
    changed = [not np.array_equal(augment([picture()], SHAPE, recipe, random)[0], plain)
               for _ in range(400)]
    # of colors four change, each by its own chance
    wanted = 0.3 if name != "color" else 1 - 0.7**4
    assert np.mean(changed) == pytest.approx(wanted, abs=0.07)


# Colors

def color_of(seed=0, **changes):
    """The color that a pixel of (200, 100, 50) becomes where only this changes, by its most."""
    none = {"hue": 0, "saturation": 0.0, "lightness": 0, "contrast": 0.0}
    recipe = attrs.evolve(NOTHING, color_probability=1.0, **{**none, **changes})
    color = draw_color(recipe, np.random.default_rng(seed))
    return color.matrix @ (200, 100, 50) + color.shift


def luma(rgb):
    return float(np.dot(rgb, (0.299, 0.587, 0.114)))


@pytest.mark.parametrize("seed", range(5))
def test_each_change_of_color_changes_what_it_is_called_after(seed):
    before = np.array((200.0, 100.0, 50.0))
    brighter = color_of(seed, lightness=40) - before
    assert np.ptp(brighter) < 1e-9
    assert 0 < abs(brighter[0]) <= 40
    factor = color_of(seed, contrast=0.5) / before
    np.testing.assert_allclose(factor, factor[0])
    assert 0.5 <= factor[0] <= 1.5
    paler = color_of(seed, saturation=0.9)
    assert luma(paler) == pytest.approx(luma(before), abs=0.1)
    # all three move towards grey, or away from it, alike
    share = (paler - luma(before)) / (before - luma(before))
    np.testing.assert_allclose(share, share[0], rtol=0.02)
    turned = color_of(seed, hue=30)
    assert luma(turned) == pytest.approx(luma(before), abs=0.1)
    assert np.abs(turned - before).max() > 0.5


def test_grey():
    recipe = attrs.evolve(NOTHING, grey_probability=1.0)
    pixels, _ = augment([picture()], SHAPE, recipe, np.random.default_rng(0))
    assert np.ptp(pixels, axis=0).max() < 0.5
    assert found(pixels, (luma(ORANGE),) * 3, 3) is not None


def test_colors_stay_colors():
    recipe = attrs.evolve(NOTHING, color_probability=1.0, lightness=255, contrast=0.9)
    for seed in range(20):
        pixels, _ = augment([picture()], SHAPE, recipe, np.random.default_rng(seed))
        assert pixels.min() >= 0
        assert pixels.max() <= 255


# Beyond the paper

def test_a_mosaic_of_four():
    colors = [(220, 120, 20), (20, 200, 40), (30, 60, 230), (200, 30, 200)]
    pictures = [picture(color=color) for color in colors]
    for seed in range(20):
        pixels, boxes = augment(pictures, SHAPE, NOTHING, np.random.default_rng(seed))
        assert len(boxes) == 4
        for box, color in zip(in_pixels(boxes), colors):
            np.testing.assert_allclose(box, found(pixels, color), atol=2.5)
        assert (boxes[:, 1:5] >= 0).all()
        assert (boxes[:, 1:5] <= 1).all()


def test_a_hole_is_cut_out():
    recipe = attrs.evolve(NOTHING, cutout_probability=1.0, cutout_scale=0.5, pad_value=250)
    plain, _ = fit(*picture(), SHAPE)
    for seed in range(20):
        pixels, boxes = augment([picture()], SHAPE, recipe, np.random.default_rng(seed))
        hole = np.abs(pixels - 250).max(axis=0) < 1
        assert 0 < hole.sum() <= 48 * 48
        np.testing.assert_array_equal(pixels[:, ~hole], plain[:, ~hole])
        assert len(boxes) == 1
