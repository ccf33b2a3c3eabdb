"""Data sets of any format, recognised by looking, and read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from ssdreg.data.agreement import agree
from ssdreg.data.contents import list_contents
from ssdreg.data.dataset import ALL, Dataset
from ssdreg.data.formats import CERTAIN, NO, DataFormat, formats
from ssdreg.errors import DataError


@frozen
class Asked:
    """The format that a data set is said to be in, and the columns of its table."""

    format: DataFormat
    columns: tuple[str, ...] = ()


def parse_format(text: str) -> Asked:
    """Read ``coco``, or ``csv:image,x1,y1,x2,y2,label`` with the columns of a table.

    Raises DataError for a name that no format has.
    """
    name, _, columns = text.partition(":")
    for each in formats():
        if each.name == name:
            return Asked(each, tuple(column.strip() for column in columns.split(",")
                                     if column.strip()))
    raise DataError(f"no format of data sets is called {name!r}: there are "
                    f"{', '.join(each.name for each in formats())}")


def recognize(path: Path) -> DataFormat:
    """Return the format of a data set, a folder or file.

    Raises DataError when there is none, when it is in no format that is known, and when it may be
    in several.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file; give a data set of any format "
                        f"that is known, or a .rec file")
    contents = list_contents(path)
    sure = {each: each.certainty(contents) for each in formats()}
    most = max(sure.values())
    candidates = [each for each, found in sure.items() if found == most]
    if most == NO:
        known = ", ".join(each.name for each in formats() if each.name != "voc")
        raise DataError(f"{path}: this is not a data set in PASCAL VOC layout, and in none of the "
                        f"other formats ({known}): no annotation was found that is known, among "
                        f"{len(contents.files)} files; --format names a format")
    if len(candidates) > 1:
        how = "is laid out as" if most == CERTAIN else "may be"
        raise DataError(f"{path} {how} {' and '.join(each.name for each in candidates)}: say by "
                        f"--format which one is meant")
    return candidates[0]


def asked_format(path: Path, format: str | None) -> Asked:
    """Return the format that is asked for, else the one that is recognised."""
    return Asked(recognize(path)) if format is None else parse_format(format)


def available_splits(path: str | os.PathLike[str], format: str | None = None) -> tuple[str, ...]:
    """The sorted names of the splits that a data set has itself; empty when there are none."""
    path = Path(path)
    return asked_format(path, format).format.splits_of(path) if path.exists() else ()


def read_dataset(path: str | os.PathLike[str], split: str | None = None,
                 classes: Sequence[str] | None = None, format: str | None = None) -> Dataset:
    """Read a data set of any format, and hold it against its pictures.

    `split` is one of its own splits; ``None``, or "all" where no split is called so, takes every
    picture. `classes` fixes the classes and their order, and boxes of others become problems.
    `format` is the name of a format, by default the one that is recognised. Raises `DataError` as
    `recognize` and `agree` do, and when the split is missing.
    """
    path = Path(path)
    asked = asked_format(path, format)
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file")
    if split == ALL and ALL not in asked.format.splits_of(path):
        split = None
    return agree(asked.format.read_from(path, split, asked.columns), classes)


def read_voc(root: str | os.PathLike[str], split: str | None = None,
             classes: Sequence[str] | None = None) -> Dataset:
    """Read a folder in PASCAL VOC layout; see `ssdreg.data.formats.voc` and `read_dataset`."""
    return read_dataset(root, split, classes, "voc")
