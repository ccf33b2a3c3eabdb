"""What a data set is made of: classes, sizes and shapes of boxes, objects a picture, pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from ssdreg_runtime.system.names import shown
from ssdreg_runtime.system.tables import text_table

from ssdreg.data.boxes import QUANTILES, annotated_boxes, recorded_boxes
from ssdreg.data.dataset import Dataset
from ssdreg.data.issues import DataIssue
from ssdreg.data.originals import image_sizes
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.proof import proved
from ssdreg.data.reading import available_splits, read_dataset
from ssdreg.data.recordio import index_records
from ssdreg.data.shards import is_packed
from ssdreg.errors import DataError
from ssdreg.metrics.areas import SIZES, size_indices
from ssdreg.progress import Progress

#: The quantiles in words, for headings.
_HEADINGS = ("least", "5 %", "25 %", "median", "75 %", "95 %", "most")
#: Sizes of pictures that are named; of more only the number.
_MOST_SIZES = 5


@frozen(eq=False)
class SplitStatistics:
    """The figures of one split; its name is "" for a data set without splits.

    - `classes`: (name, objects, pictures that show it)
    - `boxes` (n, 4) float64: width and height of each box in pixels of its picture, and as shares
      of the picture's sides
    - `labels` (n,) int64: the class of each box
    - `objects` (images,) int64: objects in each picture
    - `sizes`: (width, height) of pictures in pixels, and how many have it, the most frequent first
    - `negatives`: pictures without any object
    """

    name: str
    classes: tuple[tuple[str, int, int], ...]
    boxes: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    objects: np.ndarray = field(repr=False)
    sizes: tuple[tuple[tuple[int, int], int], ...] = field(repr=False)
    negatives: int = 0

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return len(self.objects)

    @property
    def by_area(self) -> dict[str, int]:
        """How many boxes are small, medium and large after COCO, by pixels of the picture."""
        counts = np.bincount(size_indices(self.boxes[:, 0] * self.boxes[:, 1]),
                             minlength=len(SIZES))
        return dict(zip(SIZES, counts.tolist()))

    @property
    def aspects(self) -> np.ndarray:
        """Width over height of each box, (n,)."""
        return self.boxes[:, 0] / self.boxes[:, 1]

    def quantiles(self) -> dict[str, tuple[float, ...]]:
        """The `QUANTILES` of what is measured of boxes and pictures, by what it is."""
        measured = {"width in pixels": self.boxes[:, 0], "height in pixels": self.boxes[:, 1],
                    "width as a share": self.boxes[:, 2], "height as a share": self.boxes[:, 3],
                    "width / height": self.aspects, "objects a picture": self.objects}
        return {name: tuple(np.quantile(values, QUANTILES).tolist())
                for name, values in measured.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "split": self.name or None, "images": self.images, "objects": len(self.boxes),
            "negatives": self.negatives, "by_area": self.by_area,
            "classes": {name: {"objects": objects, "images": images}
                        for name, objects, images in self.classes},
            "quantiles": dict(zip(map(str, QUANTILES), map(list, zip(*self.quantiles().values())))),
            "measured": list(self.quantiles()),
            "image_sizes": [{"width": width, "height": height, "images": count}
                            for (width, height), count in self.sizes]}

    def to_text(self) -> str:
        """Return tables for people."""
        total = len(self.boxes)
        classes = text_table(("class", "objects", "share", "pictures"), [
            (name, f"{objects:,}", f"{objects / total:.1%}", f"{images:,}")
            for name, objects, images in self.classes])
        measured = text_table(("", *_HEADINGS), [
            (name, *(f"{value:.3g}" for value in values))
            for name, values in self.quantiles().items()])
        areas = ", ".join(f"{count:,} {name} ({count / total:.1%})"
                          for name, count in self.by_area.items())
        sizes = [f"{width}x{height} ({count:,})"
                 for (width, height), count in self.sizes[:_MOST_SIZES]]
        if len(self.sizes) > _MOST_SIZES:
            sizes.append(f"{len(self.sizes) - _MOST_SIZES} other sizes")
        head = (f"split {self.name}: " if self.name else "") + (
            f"{self.images:,} pictures, {self.negatives:,} of them without objects; {total:,} "
            f"objects")
        return "\n".join([head, "", classes, "", measured, "", f"boxes after COCO: {areas}",
                          f"pictures: {', '.join(sizes)}"])


@frozen
class DatasetStatistics:
    """The figures of a data set, split by split, and what is wrong with it."""

    data: str
    splits: tuple[SplitStatistics, ...]
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"data": self.data, "splits": [split.to_dict() for split in self.splits]}

    def to_text(self) -> str:
        """Return it for people."""
        return f"\n\n{'-' * 60}\n".join(split.to_text() for split in self.splits)


def measure_dataset(data: str | os.PathLike[str], *, split: str | None = None,
                    data_format: str | None = None, progress: Progress | None = None
                    ) -> DatasetStatistics:
    """Measure a data set: every split, or one, or all pictures where there are no splits.

    No picture is decoded, but for the proof of a ``.rec`` file that was packed elsewhere. Raises
    DataError for what cannot be read.
    """
    path = Path(data)
    if is_packed(path):
        if split is not None:
            raise DataError(f"{path} is one split already: leave --split {split} out")
        packed = proved(open_rec(path), progress)
        return DatasetStatistics(shown(path), (_of_records(packed),), packed.issues)
    names = available_splits(path, data_format) if split is None else (split,)
    datasets = {name: read_dataset(path, name or None, format=data_format)
                for name in names or ("",)}
    issues = dict.fromkeys(issue for dataset in datasets.values() for issue in dataset.issues)
    return DatasetStatistics(shown(path), tuple(
        _of_samples(name, dataset) for name, dataset in datasets.items()), tuple(issues))


def _of_samples(name: str, dataset: Dataset) -> SplitStatistics:
    sizes = [(sample.width, sample.height) for sample in dataset.samples]
    counts = np.array([len(sample.boxes) for sample in dataset.samples], np.int64)
    negatives = sum(sample.negative for sample in dataset.samples)
    return _figures(name, dataset.classes, annotated_boxes(dataset), counts, sizes, negatives)


def _of_records(packed: Packed) -> SplitStatistics:
    index = index_records(packed.rec)
    return _figures("", packed.classes, recorded_boxes(packed.rec), index.objects,
                    image_sizes(packed), packed.negatives)


def _figures(name: str, classes: Sequence[str], boxes: np.ndarray, counts: np.ndarray,
             sizes: Sequence[tuple[int, int]], negatives: int) -> SplitStatistics:
    """Work out the figures; `boxes` (n, 5) stand in the order of the pictures."""
    of_picture = np.repeat(np.arange(len(counts)), counts)
    labels, shares = boxes[:, 0].astype(np.int64), boxes[:, 3:] - boxes[:, 1:3]
    pixels = shares * np.array(sizes, float).reshape(-1, 2)[of_picture]
    table = tuple((label, int((labels == place).sum()),
                   len(np.unique(of_picture[labels == place])))
                  for place, label in enumerate(classes))
    return SplitStatistics(name, table, np.hstack([pixels, shares]), labels, counts,
                           tuple(Counter(sizes).most_common()), negatives)
