"""Formats of data sets, a module for each; `formats` has them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from attrs import field, frozen

from ssdreg.data.annotation import AnnotatedSet
from ssdreg.data.contents import Contents
from ssdreg.registry.lazy_reference import Reference, resolve, valid_reference

#: How sure a format is that a data set is its own: not, by what lies there, by how it is laid out.
NO, POSSIBLE, CERTAIN = 0, 1, 2


@frozen
class DataFormat:
    """A format of data sets: its name, what it is, and the functions that read it.

    The functions are callables, or texts ``"module:function"`` that are imported when they are
    first called:

    - `recognize` (`Contents`) returns NO, POSSIBLE or CERTAIN.
    - `splits` (path) returns the sorted names of the data set's own splits.
    - `read` (path, split or None for every picture, names of columns) returns an `AnnotatedSet`:
      what was annotated, as it is written. What is wrong with one file is among its issues; a
      DataError is raised where nothing can be read.
    """

    name: str
    summary: str
    recognize: Reference = field(validator=valid_reference, repr=False)
    splits: Reference = field(validator=valid_reference, repr=False)
    read: Reference = field(validator=valid_reference, repr=False)

    def certainty(self, contents: Contents) -> int:
        """Tell whether a data set is of this format: NO, POSSIBLE or CERTAIN."""
        return int(resolve(self.recognize)(contents))

    def splits_of(self, path: Path) -> tuple[str, ...]:
        """Return the sorted names of a data set's own splits; empty when it has none."""
        return tuple(resolve(self.splits)(path))

    def read_from(self, path: Path, split: str | None, columns: Sequence[str]) -> AnnotatedSet:
        """Read one split as annotated, or all with None; raise DataError when it cannot be."""
        return cast(AnnotatedSet, resolve(self.read)(path, split, columns))


def _own(name: str, summary: str, module: str) -> DataFormat:
    return DataFormat(name, summary, *(f"{__name__}.{module}:{function}"
                                       for function in ("recognize", "splits", "read")))


_FORMATS = (
    _own("voc", "PASCAL VOC: an XML file a picture, in JPEGImages and Annotations or any two "
                "folders", "voc"),
    _own("coco", "COCO: JSON files with images, annotations and categories", "coco"),
    _own("yolo", "YOLO: a text file a picture, with classes in data.yaml", "yolo"),
    _own("csv", "a table with a box a line", "csv_table"),
    _own("labelme", "LabelMe: a JSON file a picture, with shapes", "labelme"),
    _own("cvat", "CVAT for images 1.1: one XML file", "cvat"),
    _own("manifest", "SageMaker's augmented manifest: JSON lines", "manifest"),
    _own("sagemaker", "SageMaker's image format: a JSON file a picture", "sagemaker"),
)


def formats() -> tuple[DataFormat, ...]:
    """Return all formats in the order in which they are named."""
    return _FORMATS
