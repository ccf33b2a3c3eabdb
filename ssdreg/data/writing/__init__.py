"""Data sets written: a module for each format that others read, a class of its name in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from attrs import field, frozen

from ssdreg.data.dataset import Box
from ssdreg.errors import DataError

#: The formats that are written, each with its module and class.
WRITERS = {"voc": "VocWriter", "coco": "CocoWriter", "yolo": "YoloWriter", "rec": "RecWriter"}
#: The split of a data set that has none.
NO_SPLIT = ""


@frozen
class Picture:
    """A picture as it is trained on, upright, encoded; boxes are edges in pixels from 0.

    `file` is its file name, which no other picture of the data set has.
    """

    file: str
    content: bytes = field(repr=False)
    width: int
    height: int
    boxes: tuple[Box, ...] = ()


class Writer(Protocol):
    """A data set being written into an empty folder; pictures of a split come in its order.

    A box whose sides are not both longer than `least_side` pixels is none in this format.
    """

    least_side: float

    def add(self, split: str, picture: Picture) -> None:
        """Write a picture of a split. One that is in several is added for each."""

    def finish(self) -> None:
        """Write what is known at the end only."""


def open_writer(name: str, folder: Path, classes: Sequence[str]) -> Writer:
    """Begin a data set of a format. Raises DataError for a format that is not written."""
    if name not in WRITERS:
        raise DataError(f"no data set is written as {name!r}: choose {', '.join(WRITERS)}")
    writer = getattr(import_module(f"{__name__}.{name}"), WRITERS[name])
    return cast("Callable[[Path, Sequence[str]], Writer]", writer)(folder, tuple(classes))


def write_once(file: Path, content: bytes) -> None:
    """Write a file, with its folder, unless it was written for another split."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_bytes(content)
