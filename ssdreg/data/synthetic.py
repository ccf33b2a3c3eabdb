"""A small detection data set of drawn shapes, in PASCAL VOC layout, for demos and tests.

Every image has one to four circles, squares and triangles on a textured background. What is where
follows from the seed alone, so two calls with the same arguments write the same bytes, as far as
NumPy and Pillow have the same versions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from attrs import frozen
from PIL import Image, ImageDraw
from ssdreg_runtime.system.files import replacing_folder

from ssdreg.errors import DataError

CLASSES = ("circle", "square", "triangle")

_MARKER = "shapes.json"
# the cache of packed records is written into a data set by reading it
_WRITTEN = {"JPEGImages", "Annotations", "ImageSets", _MARKER}

_MOST_SHAPES = 4
#: Sides of a shape's square frame, as shares of the shorter side of the image.
_LEAST_SIZE, _GREATEST_SIZE = 0.3, 0.6
#: The share of the smaller of two boxes that the other may cover.
_GREATEST_COVER = 0.05
#: Euclidean distance in RGB, 0 to 441, between a shape and what it lies on.
_LEAST_CONTRAST = 120.0
#: Shapes are drawn this many times larger and scaled down, for smooth edges.
_OVERSAMPLING = 4


@frozen
class DrawnShape:
    """One object of an image: its class and box, in pixels from 0, the last ones inside."""

    label: str
    left: int
    top: int
    right: int
    bottom: int


def write_shapes(folder: Path, train: int = 200, val: int = 50,
                 size: tuple[int, int] = (128, 128), seed: int = 0) -> None:
    """Write a data set of `train` + `val` images of `size` (width, height) pixels to `folder`.

    The layout is that of PASCAL VOC: JPEGImages, Annotations, and ImageSets/Main with train.txt,
    val.txt and trainval.txt. Boxes are VOC's: pixels counted from 1, xmax and ymax inside the box.
    The folder appears only when it is complete; one that this function wrote before is replaced.
    Raises DataError where `folder` is anything else but empty or missing, and for a size below 32
    pixels or a set without images.
    """
    folder = Path(folder).absolute()
    if train < 1 or val < 1:
        raise DataError(f"a data set of {train} training and {val} validation images cannot be "
                        "used; give 1 or more of each")
    if min(size) < 32:
        raise DataError(f"shapes cannot be told apart in images of {size[0]} x {size[1]} pixels; "
                        "give 32 x 32 or more")
    _refuse_foreign(folder)
    with replacing_folder(folder) as beside:
        _write(beside, train, val, size, seed)


def draw_shapes(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image,
                                                                          list[DrawnShape]]:
    """Return an RGB image of `size` (width, height) pixels and the shapes drawn in it."""
    background = _BACKGROUNDS[rng.integers(len(_BACKGROUNDS))](size, rng)
    pixels = background + rng.normal(0, rng.uniform(2, 8), background.shape)
    shapes: list[DrawnShape] = []
    for _ in range(rng.integers(1, _MOST_SHAPES + 1)):
        label = CLASSES[rng.integers(len(CLASSES))]
        # a crowded image gets fewer shapes rather than overlapping ones
        for _ in range(30):
            mask = _mask(label, size, rng)
            shape = _shape(label, mask)
            if all(_cover(shape, other) <= _GREATEST_COVER for other in shapes):
                pixels = _painted(pixels, mask, rng)
                shapes.append(shape)
                break
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), shapes


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"{folder} is no folder of its own; give a new folder for the shapes")
    names = {path.name for path in folder.iterdir()}
    if names and (_MARKER not in names or names - _WRITTEN):
        raise DataError(f"{folder} holds files that are not a data set of shapes, and is left as "
                        "it is; give a new or empty folder")


def _write(folder: Path, train: int, val: int, size: tuple[int, int], seed: int) -> None:
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    names = [f"{index:06d}" for index in range(train + val)]
    for index, name in enumerate(names):
        # a generator an image: the first images stay the same in a larger set
        image, shapes = draw_shapes(size, np.random.default_rng([seed, index]))
        image.save(folder / "JPEGImages" / f"{name}.jpg", quality=90)
        _annotation(f"{name}.jpg", size, shapes).write(
            folder / "Annotations" / f"{name}.xml", encoding="utf-8")
    for split, members in (("train", names[:train]), ("val", names[train:]), ("trainval", names)):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(members) + "\n",
                                                                          encoding="utf-8")
    marker = {"train": train, "val": val, "size": list(size), "seed": seed}
    (folder / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _annotation(filename: str, size: tuple[int, int],
                shapes: list[DrawnShape]) -> ElementTree.ElementTree:
    root = ElementTree.Element("annotation")
    _add(root, folder="JPEGImages", filename=filename)
    _add(ElementTree.SubElement(root, "size"), width=size[0], height=size[1], depth=3)
    _add(root, segmented=0)
    for shape in shapes:
        entry = ElementTree.SubElement(root, "object")
        _add(entry, name=shape.label, pose="Unspecified", truncated=0, difficult=0)
        _add(ElementTree.SubElement(entry, "bndbox"), xmin=shape.left + 1, ymin=shape.top + 1,
             xmax=shape.right + 1, ymax=shape.bottom + 1)
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)


def _add(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _mask(label: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return how much of each pixel a new shape covers, (height, width), 0 to 1."""
    side = rng.uniform(_LEAST_SIZE, _GREATEST_SIZE) * min(size)
    center = rng.uniform(side / 2, np.array(size) - side / 2)
    # every corner lies on the circle around the frame's centre, so no rotation leaves the image
    radius = side / 2
    if label == "circle":
        corners = np.arange(90) * 4.0
    elif label == "square":
        corners = 45 + np.arange(4) * 90 + rng.uniform(-15, 15)
    else:
        corners = -90 + np.arange(3) * 120 + rng.uniform(-25, 25)
    angles = np.deg2rad(corners)
    points = center + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    large = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    ImageDraw.Draw(large).polygon([tuple(point) for point in points * _OVERSAMPLING], fill=255)
    return np.asarray(large.reduce(_OVERSAMPLING)) / 255


def _shape(label: str, mask: np.ndarray) -> DrawnShape:
    """Return the shape with the box of the pixels that it covers by half or more."""
    rows, columns = np.nonzero(mask >= 0.5)
    return DrawnShape(label, int(columns.min()), int(rows.min()), int(columns.max()),
                      int(rows.max()))


def _cover(a: DrawnShape, b: DrawnShape) -> float:
    """Return the share of the smaller of two boxes that the other covers."""
    width = min(a.right, b.right) - max(a.left, b.left) + 1
    height = min(a.bottom, b.bottom) - max(a.top, b.top) + 1
    areas = [(s.right - s.left + 1) * (s.bottom - s.top + 1) for s in (a, b)]
    return max(width, 0) * max(height, 0) / min(areas)


def _painted(pixels: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `pixels` with a shape in a colour that stands out, shaded and a little grainy."""
    beneath = pixels[mask > 0.5].mean(axis=0)
    colors = rng.uniform(0, 255, (32, 3))
    contrast = np.linalg.norm(colors - beneath, axis=1)
    # the first with enough contrast, else the one with the most
    enough = contrast >= _LEAST_CONTRAST
    color = colors[enough.argmax() if enough.any() else contrast.argmax()]
    shade = _ramp((mask.shape[1], mask.shape[0]), rng)[..., None]
    paint = color + rng.uniform(0, 40) * (shade - 0.5) + rng.normal(0, 5, pixels.shape)
    return pixels + mask[..., None] * (paint - pixels)


def _gradient(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return _between(_ramp(size, rng), rng)


def _clouds(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(rng.random(rng.integers(3, 12, 2)).astype(np.float32))
    return _between(np.clip(np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)), 0, 1), rng)


def _stripes(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    waves = rng.uniform(3, 12)
    return _between(0.5 + 0.5 * np.sin(2 * np.pi * waves * _ramp(size, rng)), rng)


def _clutter(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    image = Image.fromarray(_gradient(size, rng).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(4, 12)):
        ends = rng.uniform(0, 1, (2, 2)) * size
        color = tuple(int(channel) for channel in rng.integers(0, 256, 3))
        pen.line([tuple(end) for end in ends], fill=color,
                 width=int(rng.integers(1, 2 + min(size) // 64)))
    return np.asarray(image, dtype=np.float64)


_BACKGROUNDS: tuple[Callable[[tuple[int, int], np.random.Generator], np.ndarray], ...] = (
    _gradient, _clouds, _stripes, _clutter)


def _ramp(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return (height, width) numbers that rise from 0 to 1 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    along = x * np.cos(angle) + y * np.sin(angle)
    return (along - along.min()) / (along.max() - along.min())


def _between(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (height, width, 3) mixtures of two random colours, `share` of the second."""
    first = rng.uniform(20, 235, 3)
    # not farther apart, or no third colour would stand out from both
    second = np.clip(first + rng.uniform(-70, 70, 3), 0, 255)
    return first + share[..., None] * (second - first)
