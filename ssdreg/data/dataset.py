"""What every data set is after reading: usable images with boxes, and what was wrong."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from ssdreg.data.issues import DataIssue

#: The name that stands for "every image of the data set".
ALL = "all"


@frozen
class Box:
    """A labelled box: its edges in pixels, 0 at the left and top edge of the image."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    difficult: bool = False


@frozen
class Sample:
    """An image file, its size in pixels, and its boxes: none where there is no object.

    `lost` says that there are objects, but none whose box can be used: such an image is no
    negative, of which every anchor would be background.

    Size and boxes are those of the picture that the file's pixels make when they are turned by
    `orientation`, a value of EXIF's tag of that name: 1 leaves them as they are stored.
    """

    image: Path
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    orientation: int = 1
    lost: bool = False

    @property
    def negative(self) -> bool:
        """Whether nothing is on the image: it teaches what the background is."""
        return not self.boxes and not self.lost


@frozen
class Dataset:
    """One split: usable samples in the order of the split, and what was left out."""

    root: Path
    split: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...] = field(repr=False)
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)
