"""Detections and ground truths, image by image: the input of every measure but mAP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike
from ssdreg_runtime.boxes.rows import detection_rows, truth_rows

from ssdreg.errors import DataError


@frozen(eq=False)
class ImageBoxes:
    """The boxes of one image, as shares of its sides, 0 to 1.

    `detections` is (N, 6) float64: class, score, x1, y1, x2, y2; `truths` (M, 6) float64: class,
    x1, y1, x2, y2, difficult (0 or 1). `width` and `height` are the original image's, in pixels.
    """

    detections: np.ndarray = field(repr=False)
    truths: np.ndarray = field(repr=False)
    width: int
    height: int

    def pixels(self, boxes: np.ndarray) -> np.ndarray:
        """Return (N, 4) boxes of this image, given as shares, in pixels of the original image."""
        return boxes * np.array([self.width, self.height] * 2, np.float64)

    def areas(self, boxes: np.ndarray) -> np.ndarray:
        """Return the (N,) areas in pixels of (N, 4) boxes that are given as shares."""
        return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) * (
            self.width * self.height)


@frozen(eq=False)
class Comparison:
    """The detections and ground truths of a set of images, and the names of the classes."""

    classes: tuple[str, ...]
    images: tuple[ImageBoxes, ...] = field(repr=False)

    def objects(self) -> np.ndarray:
        """Return the (C,) numbers of objects a class, those that are difficult left out."""
        counts = np.zeros(len(self.classes), np.int64)
        for image in self.images:
            counted = image.truths[image.truths[:, 5] == 0, 0].astype(np.int64)
            counts += np.bincount(counted, minlength=len(self.classes))
        return counts


def compare(boxes: Iterable[tuple[ArrayLike, ArrayLike]], sizes: Sequence[tuple[int, int]],
            class_names: Sequence[str]) -> Comparison:
    """Gather detections and ground truths of the images of `sizes` (width, height) in pixels.

    `boxes` gives for each image, in the order of `sizes`, the detections (N, 6), rows of class,
    score, x1, y1, x2, y2, and the ground truths (M, 5) or (M, 6), rows of class, x1, y1, x2, y2
    [, difficult]; coordinates are shares of the image's sides, and rows of a class below zero are
    padding. Raises DataError where there are not as many images as sizes, for other columns, for
    a class without a name, or for a number that is not finite.
    """
    images: list[ImageBoxes] = []
    for number, (detections, truths) in enumerate(boxes):
        if number >= len(sizes):
            raise DataError(f"there are sizes of {len(sizes)} images and boxes of more; give the "
                            "width and height of every image")
        where = f"image {number}"
        width, height = sizes[number]
        images.append(ImageBoxes(detection_rows(detections, len(class_names), where),
                                 truth_rows(truths, len(class_names), where), width, height))
    if len(images) < len(sizes):
        raise DataError(f"there are sizes of {len(sizes)} images and boxes of {len(images)}; give "
                        "the boxes of every image")
    return Comparison(tuple(class_names), tuple(images))
