"""The small drawn data set that every format has a sample of, and what is to be read of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssdreg.data import Dataset
from ssdreg.data.formats.samples import (
    CLASSES,
    COLORS,
    GREY,
    TRAIN,
    VAL,
    Drawn,
    coco,
    coco_json,
    csv,
    cvat,
    draw,
    labelme,
    labelme_json,
    manifest,
    manifest_line,
    picture,
    sagemaker,
    voc,
    voc_xml,
    write,
    yolo,
    yolo_lines,
)

__all__ = [
    "CLASSES", "COLORS", "FORMATS", "GREY", "TRAIN", "VAL", "Drawn", "boxes_of", "coco",
    "coco_json", "color_in", "csv", "cvat", "draw", "drawn_boxes", "kinds", "labelme",
    "labelme_json", "manifest", "manifest_line", "picture", "roboflow", "sagemaker", "voc",
    "voc_xml", "write", "yolo", "yolo_lines",
]


def roboflow(root: Path) -> Path:
    """VOC's XML beside the pictures, in a folder a split."""
    for split, pictures in (("train", TRAIN), ("valid", VAL)):
        draw(root / split, pictures)
        for each in pictures:
            write(root / split / f"{each.name}.xml", voc_xml(each))
    return root


#: Each format's writer, and what its two splits are called.
FORMATS = {"voc": (voc, "train", "val"), "roboflow": (roboflow, "train", "valid"),
           "coco": (coco, "train2017", "val2017"), "yolo": (yolo, "train", "val"),
           "csv": (csv, "train", "val"), "labelme": (labelme, "train", "val"),
           "cvat": (cvat, "train", "val"), "manifest": (manifest, "train", "validation"),
           "sagemaker": (sagemaker, "train", "validation")}


def boxes_of(dataset: Dataset, digits: int = 3) -> dict[str, list[tuple]]:
    """Return the boxes of each picture by its name, sorted, to be compared."""
    return {sample.image.stem: sorted((box.label, *(round(edge, digits) for edge in
                                                    (box.x1, box.y1, box.x2, box.y2)))
                                      for box in sample.boxes) for sample in dataset.samples}


def drawn_boxes(pictures: Sequence[Drawn]) -> dict[str, list[tuple]]:
    return {each.name: sorted((label, *map(float, edges)) for label, *edges in each.boxes)
            for each in pictures}


def kinds(dataset: Dataset) -> list[tuple[str, str, str]]:
    return sorted((issue.file.name, issue.kind, issue.action) for issue in dataset.issues)


def color_in(pixels: np.ndarray, edges: Sequence[float]) -> tuple[int, ...]:
    """Return the median color inside a box of pixels (h, w, 3), without its rim."""
    x1, y1, x2, y2 = (round(edge) for edge in edges)
    inside = pixels[y1 + 2:y2 - 2, x1 + 2:x2 - 2].reshape(-1, 3)
    return tuple(int(value) for value in np.median(inside, axis=0))
