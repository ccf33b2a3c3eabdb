"""The boxes of a data set as one array, and what there is to know about their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from ssdreg.data.dataset import Dataset
from ssdreg.data.packed import Packed
from ssdreg.data.recordio import index_records
from ssdreg.errors import DataError

#: The shares of boxes below which the widths and heights of `Statistics` are.
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@frozen
class Statistics:
    """How many boxes there are of each class, and how large they are.

    `widths` and `heights` are the `QUANTILES` of the boxes' sides, `smallest` the (width, height)
    of the box with the least area; all are shares of the image's sides, 0 to 1.
    """

    classes: tuple[tuple[str, int], ...]
    widths: tuple[float, ...]
    heights: tuple[float, ...]
    smallest: tuple[float, float]

    @property
    def boxes(self) -> int:
        """How many boxes there are in all."""
        return sum(count for _, count in self.classes)


def boxes(source: Packed | Dataset) -> np.ndarray:
    """Return all boxes of a data set, (n, 5) float64: class, x1, y1, x2, y2.

    Corners are shares of the image's sides, 0 to 1. Difficult objects are among them, as they are
    in training; no image is decoded. Raises DataError when there is no box, and what
    `index_records` raises.
    """
    if isinstance(source, Dataset):
        where, rows = source.root, annotated_boxes(source)
    else:
        where, rows = source.rec, recorded_boxes(source.rec)
    if not len(rows):
        raise DataError(f"{where}: these images have no box, so there is nothing to measure")
    return rows


def describe(boxes: np.ndarray, classes: Sequence[str]) -> Statistics:
    """Count and measure the boxes (n, 5) of `classes`."""
    sides = boxes[:, 3:] - boxes[:, 1:3]
    counts = np.bincount(boxes[:, 0].astype(int), minlength=len(classes))
    widths, heights = np.quantile(sides, QUANTILES, axis=0).T.tolist()
    width, height = sides[sides.prod(axis=1).argmin()].tolist()
    return Statistics(tuple(zip(classes, counts.tolist())), tuple(widths), tuple(heights),
                      (width, height))


def annotated_boxes(dataset: Dataset) -> np.ndarray:
    """Return the boxes of `boxes` of a data set that is not packed; there may be none."""
    number = {name: index for index, name in enumerate(dataset.classes)}
    rows = [(number[box.label], box.x1 / sample.width, box.y1 / sample.height,
             box.x2 / sample.width, box.y2 / sample.height)
            for sample in dataset.samples for box in sample.boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def recorded_boxes(rec: Path) -> np.ndarray:
    """Return the boxes of `boxes` of a packed data set; there may be none."""
    return index_records(rec).table[:, :5].astype(np.float64)
