"""Boxes that are written in another layout than their format's, seen over a whole data set.

Corners read as a corner and a size, or the reverse, are boxes too, most of them inside their
picture, and all of them wrong. No single box tells it; many do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from ssdreg.data.annotation import (
    CENTER_AND_SIZE,
    CORNER_AND_SIZE,
    CORNERS,
    AnnotatedPicture,
    Coordinates,
    Numbers,
)
from ssdreg.data.pictures import Measured

#: Fewer boxes tell nothing of a whole data set.
_FEWEST = 3
#: The share of boxes that contradict a layout from which on it is another one.
_SHARE = 1 / 3
#: What boxes may reach out of their picture, as a share of its sides.
_SLACK = 0.02


@frozen
class _Written:
    """A box as written, with the sides of its picture in the unit of its numbers."""

    numbers: Numbers
    width: float
    height: float

    def fits(self, layout: str) -> bool:
        """Tell whether it is a box inside its picture when it is read in this layout."""
        x1, y1, x2, y2 = Coordinates(layout).corners(self.numbers)
        across, down = self.width * _SLACK, self.height * _SLACK
        return (x1 < x2 and y1 < y2 and x1 >= -across and y1 >= -down
                and x2 <= self.width + across and y2 <= self.height + down)


def another_layout(measured: Sequence[tuple[AnnotatedPicture, Measured]]) -> str:
    """Say that the boxes are in another layout, where every one fits it and many not their own.

    Returns a clause, "" where they are in their own or nothing tells.
    """
    own = {picture.coordinates.layout for picture, _ in measured if picture.objects}
    if len(own) != 1:
        return ""
    layout = own.pop()
    boxes = [box for picture, actual in measured for box in _boxes(picture, actual)]
    against = sum(1 for box in boxes if not box.fits(layout))
    if len(boxes) < _FEWEST or against < len(boxes) * _SHARE:
        return ""
    for other in (CORNERS, CORNER_AND_SIZE, CENTER_AND_SIZE):
        if other != layout and all(box.fits(other) for box in boxes):
            return (f"{against} of {len(boxes)} boxes are none inside their picture when their "
                    f"numbers are {_WORDS[layout]}, as this format has them, and all are when they "
                    f"are {_WORDS[other]}: write them as the former")
    return ""


_WORDS = {CORNERS: "x1, y1, x2, y2", CORNER_AND_SIZE: "x, y, width, height",
          CENTER_AND_SIZE: "center x, center y, width, height"}


def _boxes(picture: AnnotatedPicture, actual: Measured) -> list[_Written]:
    width, height = actual.upright
    if picture.stated is not None and picture.stated != actual.upright:
        return []  # of another picture, or of this one on its side
    sides = (1.0, 1.0) if picture.coordinates.shares else (float(width), float(height))
    return [_Written(item.numbers, *sides) for item in picture.objects
            if not item.outline and all(map(math.isfinite, item.numbers))]
