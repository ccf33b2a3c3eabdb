"""What a data set's files say, as written: raw, and not yet held against any picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen
from attrs.validators import in_

from ssdreg.data.issues import DataIssue

CORNERS, CORNER_AND_SIZE, CENTER_AND_SIZE = "corners", "corner and size", "center and size"

Numbers = tuple[float, float, float, float]


@frozen
class Coordinates:
    """What the four numbers of a box mean.

    `layout`: x1, y1, x2, y2 (CORNERS), x, y, width, height (CORNER_AND_SIZE), or the same from the
    center. They are `shares` of the picture's sides, or pixels; pixels begin at `first` at the left
    and top edge. With 1, as VOC counts, the last corner names the last pixel inside.
    """

    layout: str = field(default=CORNERS, validator=in_((CORNERS, CORNER_AND_SIZE,
                                                        CENTER_AND_SIZE)))
    shares: bool = False
    first: int = field(default=0, validator=in_((0, 1)))

    def corners(self, numbers: Numbers) -> Numbers:
        """Return the corners x1, y1, x2, y2 that the numbers name, in their own unit."""
        x, y, across, down = numbers
        if self.layout == CORNERS:
            return numbers
        if self.layout == CORNER_AND_SIZE:
            return x, y, x + across, y + down
        return x - across / 2, y - down / 2, x + across / 2, y + down / 2


#: Pixels from 1, the last one inside: PASCAL VOC.
VOC_PIXELS = Coordinates(first=1)
#: Edges in pixels, 0 at the left and top.
EDGES = Coordinates()
#: x, y, width, height in pixels: COCO, SageMaker.
CORNER_PIXELS = Coordinates(CORNER_AND_SIZE)
#: Center and size as shares of the picture: YOLO.
CENTER_SHARES = Coordinates(CENTER_AND_SIZE, shares=True)


@frozen
class AnnotatedObject:
    """An object as annotated: its label, four numbers, and its place in the file for messages.

    `crowd` marks many objects under one box. `outline` says that the numbers were taken from an
    outline, because the file has no box; then they are corners.
    """

    number: int
    label: str
    numbers: Numbers
    difficult: bool = False
    crowd: bool = False
    outline: str = ""

    @property
    def name(self) -> str:
        """What messages call it, as ``object 2 (dog)``."""
        return f"object {self.number} ({self.label})"


@frozen
class AnnotatedPicture:
    """A picture's annotation: the file that was found for it, and what is said of it.

    `annotation` is the file that says it, `stated` the size (width, height) in pixels that it
    states, None where it states none. `upright` says that the format's own programs turn pictures
    upright, so that its boxes are on the upright picture.
    """

    image: Path
    annotation: Path
    objects: tuple[AnnotatedObject, ...] = ()
    stated: tuple[int, int] | None = None
    coordinates: Coordinates = EDGES
    upright: bool = False


@frozen
class AnnotatedSet:
    """One split as annotated, in its order, and what the rest of the data set can tell.

    `labels` has every label of the whole data set with how often it stands there, so that all
    splits agree on the classes. `classes` are those that a file declares, None where none does, and
    `declared` is that file. `others` are the pictures outside the split, as far as they were read.
    `issues` are what the reader left out.
    """

    root: Path
    split: str
    pictures: tuple[AnnotatedPicture, ...] = field(repr=False)
    labels: dict[str, int] = field(repr=False)
    classes: tuple[str, ...] | None = None
    declared: Path | None = None
    others: tuple[AnnotatedPicture, ...] = field(default=(), repr=False)
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)


def count_labels(pictures: Sequence[AnnotatedPicture]) -> dict[str, int]:
    """Count how often each label stands in the annotations."""
    counts: dict[str, int] = {}
    for picture in pictures:
        for item in picture.objects:
            counts[item.label] = counts.get(item.label, 0) + 1
    return counts


def enclosing(points: Sequence[tuple[float, float]]) -> Numbers:
    """Return the corners of the box around points. Raises ValueError where there are none."""
    if not points or not all(math.isfinite(value) for point in points for value in point):
        raise ValueError("its outline has no usable points")
    across, down = [x for x, _ in points], [y for _, y in points]
    return min(across), min(down), max(across), max(down)
