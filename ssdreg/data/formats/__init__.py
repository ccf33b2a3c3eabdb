"""Formats of data sets, a module for each; `formats` has them all."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from ssdreg.data.annotation import AnnotatedSet
from ssdreg.data.contents import Contents

#: How sure a format is that a data set is its own: not, by what lies there, by how it is laid out.
NO, POSSIBLE, CERTAIN = 0, 1, 2


class Reader(Protocol):
    """What a format's module has."""

    def recognize(self, contents: Contents) -> int:
        """Tell whether this is a data set of the format: NO, POSSIBLE or CERTAIN."""

    def splits(self, root: Path) -> tuple[str, ...]:
        """Return the sorted names of the data set's own splits; empty when it has none."""

    def read(self, root: Path, split: str | None, columns: Sequence[str]) -> AnnotatedSet:
        """Read one split as annotated, or all with None; raise DataError when it cannot be."""


@frozen
class DataFormat:
    """A format of data sets: its name, what it is, and the module that reads it."""

    name: str
    summary: str
    module: str

    @property
    def reader(self) -> Reader:
        """The module, imported when it is first asked for."""
        return importlib.import_module(self.module)  # type: ignore[return-value]


def formats() -> tuple[DataFormat, ...]:
    """Return all formats in the order in which they are named."""
    return _FORMATS


_FORMATS = tuple(DataFormat(name, summary, f"{__name__}.{module}") for name, summary, module in (
    ("voc", "PASCAL VOC: an XML file a picture, in JPEGImages and Annotations or any two folders",
     "voc"),
    ("coco", "COCO: one JSON file with images, annotations and categories", "coco"),
    ("yolo", "YOLO: a text file a picture, with classes in data.yaml", "yolo"),
    ("csv", "a table with a box a line", "csv_table"),
    ("labelme", "LabelMe: a JSON file a picture, with shapes", "labelme"),
    ("cvat", "CVAT for images 1.1: one XML file", "cvat"),
    ("manifest", "SageMaker's augmented manifest: JSON lines", "manifest"),
    ("sagemaker", "SageMaker's annotations: a JSON file a picture", "sagemaker"),
))
