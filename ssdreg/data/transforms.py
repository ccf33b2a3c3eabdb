"""Augmentation of one picture: a window of it, mirrored, in other colors, with the boxes that stay.

Liu et al. 2016, "SSD: Single Shot MultiBox Detector", sections 2.2 "Data augmentation" and 3.6;
mosaic after Bochkovskiy et al. 2020, "YOLOv4"; cut-out after DeVries and Taylor 2017, "Improved
Regularization of Convolutional Neural Networks with Cutout".

Everything is drawn from the generator that is given. What is done to a picture's geometry is one
window: padding takes a larger one than the picture, a crop a smaller one, and the pixels are
resized once. A window's colors are one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from ssdreg_runtime.io.images import resize

from ssdreg.data.augmentation import Augmentation

#: Columns of boxes: class, x1, y1, x2, y2, difficult. Edges are pixels of the picture.
COLUMNS = 6
#: Weights of red, green and blue in brightness (luma of NTSC, as OpenCV has them).
_LUMA = np.array([0.299, 0.587, 0.114])
#: RGB to YIQ (NTSC), in which hue is an angle and saturation a radius.
_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
#: Degrees of hue in a step of OpenCV, which has 180 of them.
_DEGREES = 2


@frozen
class Window:
    """The part of a picture that is taken: edges in its pixels, which may lie outside of it."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Its width in pixels of the picture."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Its height in pixels of the picture."""
        return self.y2 - self.y1


@frozen(eq=False)
class Color:
    """What becomes of a pixel's colors: ``matrix @ rgb + shift``, (3, 3) and a number."""

    matrix: np.ndarray
    shift: float = 0.0


@frozen(eq=False)
class Canvas:
    """The network's input while it is filled: `pixels` (3, H, W) float32 RGB 0 to 255."""

    pixels: np.ndarray

    @classmethod
    def filled(cls, data_shape: tuple[int, int], value: float) -> Canvas:
        """Return one of a single grey."""
        return cls(np.full((3, *data_shape), value, np.float32))

    def paint(self, pixels: np.ndarray, boxes: np.ndarray, window: Window,
              color: Color | None = None, part: tuple[int, int, int, int] | None = None
              ) -> np.ndarray:
        """Paint the window of a picture (h, w, 3) uint8, and return the boxes that are in it.

        `boxes` (K, 6) and the boxes returned have edges in pixels, of the picture and of the
        canvas. `part` (x1, y1, x2, y2) is where on the canvas the window goes, all of it by
        default. Where the window lies outside the picture, the canvas stays as it is. An object
        stays while its center is in the window.
        """
        left, top, right, bottom = part or (0, 0, *self.pixels.shape[:0:-1])
        height, width = pixels.shape[:2]
        scale_x, scale_y = (right - left) / window.width, (bottom - top) / window.height
        x1, x2, to_x1, to_x2 = _visible(window.x1, window.x2, width, left, right, scale_x)
        y1, y2, to_y1, to_y2 = _visible(window.y1, window.y2, height, top, bottom, scale_y)
        if to_x1 < to_x2 and to_y1 < to_y2:
            resized = resize(pixels[y1:y2, x1:x2], (to_y2 - to_y1, to_x2 - to_x1))
            self.pixels[:, to_y1:to_y2, to_x1:to_x2] = _colored(resized, color)
        kept = boxes[_inside(boxes, window)].copy()
        # as the pixels lie, whose edges are whole numbers
        kept[:, 1:5:2] = to_x1 + (kept[:, 1:5:2] - x1) * ((to_x2 - to_x1) / max(1, x2 - x1))
        kept[:, 2:5:2] = to_y1 + (kept[:, 2:5:2] - y1) * ((to_y2 - to_y1) / max(1, y2 - y1))
        kept[:, 1:5:2] = kept[:, 1:5:2].clip(left, right)
        kept[:, 2:5:2] = kept[:, 2:5:2].clip(top, bottom)
        return kept[(kept[:, 3] > kept[:, 1]) & (kept[:, 4] > kept[:, 2])]

    def mirror(self, boxes: np.ndarray) -> tuple[Canvas, np.ndarray]:
        """Return it with left and right exchanged, and its boxes."""
        mirrored = boxes.copy()
        mirrored[:, [1, 3]] = self.pixels.shape[2] - boxes[:, [3, 1]]
        return Canvas(np.ascontiguousarray(self.pixels[:, :, ::-1])), mirrored


def _visible(start: float, end: float, length: int, to_start: int, to_end: int, scale: float
             ) -> tuple[int, int, int, int]:
    """Return what is visible of a window along one side, in whole pixels, and where it goes."""
    first, last = max(0, math.floor(start)), min(length, math.ceil(end))
    to_first = round(to_start + (first - start) * scale)
    to_last = round(to_start + (last - start) * scale)
    return first, last, max(to_start, to_first), min(to_end, max(to_first + 1, to_last))


def _colored(pixels: np.ndarray, color: Color | None) -> np.ndarray:
    """Return (h, w, 3) uint8 as (3, h, w) float32 in other colors, 0 to 255."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(-1, 3).T
    if color is None:
        return flat.reshape(3, height, width)
    red, green, blue = flat.astype(np.float32)
    changed = np.empty((3, red.size), np.float32)
    # not by a matrix product: NumPy's library for those starts threads for it, which go on to wait
    # in a busy loop on processors that the training needs
    for channel, shares in zip(changed, color.matrix.astype(np.float32)):
        np.multiply(red, shares[0], out=channel)
        channel += green * shares[1]
        channel += blue * shares[2]
    changed += np.float32(color.shift)
    return changed.clip(0, 255, out=changed).reshape(3, height, width)


def _inside(boxes: np.ndarray, window: Window) -> np.ndarray:
    """Tell whose center lies in a window, (K,) bool."""
    x, y = (boxes[:, 1] + boxes[:, 3]) / 2, (boxes[:, 2] + boxes[:, 4]) / 2
    return (x >= window.x1) & (x < window.x2) & (y >= window.y1) & (y < window.y2)


# What is drawn

def augment(pictures: Sequence[tuple[np.ndarray, np.ndarray]], data_shape: tuple[int, int],
            recipe: Augmentation, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's input of a picture and its boxes, (3, H, W) float32 and (K, 6).

    Each picture is its pixels (h, w, 3) uint8 with its boxes (K, 6). The first is the one that is
    augmented; where there are four, they make a mosaic. Boxes returned are shares of the input.
    """
    canvas = Canvas.filled(data_shape, recipe.pad_value)
    kept = []
    parts = _parts(data_shape, random) if len(pictures) > 1 else [None]
    for (pixels, boxes), part in zip(pictures, parts):
        color = draw_color(recipe, random)
        window = draw_window(pixels.shape[1], pixels.shape[0], boxes, recipe, random)
        kept.append(canvas.paint(pixels, boxes, window, color, part))
    boxes = np.concatenate(kept)
    if random.random() < recipe.mirror_probability:
        canvas, boxes = canvas.mirror(boxes)
    if random.random() < recipe.cutout_probability:
        _cut_out(canvas, recipe, random)
    height, width = data_shape
    boxes[:, 1:5] /= (width, height, width, height)
    return canvas.pixels, boxes


def fit(pixels: np.ndarray, boxes: np.ndarray, data_shape: tuple[int, int]
        ) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole picture as the network's input, and its boxes as shares of it.

    The pixels are those that detection gives the network: see `ssdreg_runtime.io.images.resize`.
    """
    height, width = pixels.shape[:2]
    shares = boxes.copy()
    shares[:, 1:5] /= (width, height, width, height)
    return _colored(resize(pixels, data_shape), None).astype(np.float32), shares


def _parts(data_shape: tuple[int, int], random: np.random.Generator
           ) -> list[tuple[int, int, int, int]]:
    """Divide the canvas by a cross whose center is drawn from its middle half."""
    height, width = data_shape
    x, y = (round(side * random.uniform(0.25, 0.75)) for side in (width, height))
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def draw_color(recipe: Augmentation, random: np.random.Generator) -> Color | None:
    """Draw brightness, contrast, saturation and hue, each with its probability; None for none."""
    changes = random.random(4) < recipe.color_probability
    amounts = random.uniform(-1, 1, 4)
    grey = random.random() < recipe.grey_probability
    if not (changes.any() or grey):
        return None
    shift, contrast, saturation, hue = np.where(changes, amounts, 0.0)
    angle = math.radians(hue * recipe.hue * _DEGREES)
    radius = 0.0 if grey else 1 + saturation * recipe.saturation
    turn = np.array([[1, 0, 0], [0, radius * math.cos(angle), -radius * math.sin(angle)],
                     [0, radius * math.sin(angle), radius * math.cos(angle)]])
    factor = 1 + contrast * recipe.contrast
    return Color(np.linalg.inv(_YIQ) @ turn @ _YIQ * factor, shift * recipe.lightness)


def draw_window(width: int, height: int, boxes: np.ndarray, recipe: Augmentation,
                random: np.random.Generator) -> Window:
    """Draw the window of a picture: padded, then cropped, each with its probability."""
    window = Window(0, 0, width, height)
    if random.random() < recipe.pad_probability:
        scale = random.uniform(1, recipe.pad_scale)
        x, y = random.uniform(0, 1, 2) * (scale - 1) * (width, height)
        window = Window(-x, -y, width * scale - x, height * scale - y)
    if random.random() < recipe.crop_probability:
        for overlap in random.permutation(recipe.crop_overlaps):
            crop = _draw_crop(window, (width, height), boxes, overlap, recipe, random)
            if crop is not None:
                return crop
    return window


def _draw_crop(window: Window, size: tuple[int, int], boxes: np.ndarray, overlap: float,
               recipe: Augmentation, random: np.random.Generator) -> Window | None:
    """Draw crops at once, and return the first that keeps an object and overlaps one enough.

    Of a picture without objects any crop will do whose center is on it, and not on the padding.
    None where no trial will do.
    """
    trials = recipe.crop_trials
    scale = random.uniform(*recipe.crop_scale, trials)
    aspect = np.sqrt(random.uniform(*recipe.crop_aspect, trials))
    across, down = scale * aspect * window.width, scale / aspect * window.height
    place_x, place_y = random.uniform(0, 1, (2, trials))
    x1 = window.x1 + place_x * (window.width - across)
    y1 = window.y1 + place_y * (window.height - down)
    fits = (across <= window.width) & (down <= window.height)
    if len(boxes):
        crops = np.stack([x1, y1, x1 + across, y1 + down], axis=1)
        centers = (boxes[:, 1:3] + boxes[:, 3:5]) / 2
        held = ((centers[None] >= crops[:, None, :2]) & (centers[None] < crops[:, None, 2:])
                ).all(axis=2).any(axis=1)
        fits &= held & (_overlaps(crops, boxes[:, 1:5]).max(axis=1) >= overlap)
    else:
        x, y = x1 + across / 2, y1 + down / 2
        fits &= (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    good = np.flatnonzero(fits)
    if not len(good):
        return None
    first = good[0]
    return Window(x1[first], y1[first], x1[first] + across[first], y1[first] + down[first])


def _overlaps(crops: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the IoU of crops (T, 4) with boxes (K, 4), (T, K)."""
    low = np.maximum(crops[:, None, :2], boxes[None, :, :2])
    high = np.minimum(crops[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(edges[:, 2:] - edges[:, :2]).prod(axis=1) for edges in (crops, boxes)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def _cut_out(canvas: Canvas, recipe: Augmentation, random: np.random.Generator) -> None:
    """Fill a square of the canvas with grey; boxes stay, as most of an object is to be seen."""
    height, width = canvas.pixels.shape[1:]
    side = recipe.cutout_scale * min(height, width)
    x, y = random.uniform(0, width), random.uniform(0, height)
    canvas.pixels[:, max(0, round(y - side / 2)):max(0, round(y + side / 2)),
                  max(0, round(x - side / 2)):max(0, round(x + side / 2))] = recipe.pad_value
