"""Annotated objects as boxes inside their picture, and what had to be said about each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import AnnotatedObject, AnnotatedPicture, Coordinates
from ssdreg.data.dataset import Box
from ssdreg.data.issues import DataIssue
from ssdreg.data.labels import Classes, refusal
from ssdreg.data.pictures import Edges, Size, turn_edges

#: Shares are written with few digits: what they are past the edge by rounding, in pixels.
_ROUNDING = 0.5
#: Corners in pixels may be the sum of a corner and a side; floats of that are not exact.
_INEXACT = 0.01
#: The word for a box that is past the edge by little, as a share of the longer side.
WITHIN, _LITTLE = "clipped", 0.02
#: Shares above this are no rounding any more.
_MOST_SHARE = 1.5


@frozen
class Frame:
    """The picture that the boxes were drawn on: its size, and how it becomes the upright one.

    `scale` is what its coordinates are multiplied by, across and down, to be pixels of `size`;
    `turned` is the orientation that they are turned by afterwards, 1 where they are right already.
    """

    size: Size
    scale: tuple[float, float] = (1.0, 1.0)
    turned: int = 1


@frozen
class _Placed:
    """What became of an object: a box or None, and the complaint, if there is one."""

    box: Box | None
    kind: str = ""
    detail: str = ""
    action: str = kinds.LEFT_OUT


def place(picture: AnnotatedPicture, frame: Frame,
          classes: Classes) -> tuple[tuple[Box, ...], list[DataIssue]]:
    """Return the boxes of a picture, each inside it and of a class, and the complaints."""
    boxes: list[Box] = []
    issues = []
    shares = _in_shares(picture.objects, picture.coordinates)
    for item in picture.objects:
        coordinates = Coordinates(picture.coordinates.layout, True) if item in shares \
            else Coordinates() if item.outline and not picture.coordinates.shares \
            else Coordinates(shares=True) if item.outline else picture.coordinates
        placed = _place(item, coordinates, frame, classes)
        if placed.box and item in shares:
            placed = _Placed(placed.box, kinds.WRONG_UNIT,
                             f"{_written(item)} are shares of the picture where pixels are "
                             f"expected; taken as shares", kinds.PUT_RIGHT)
        if placed.box in boxes:
            placed = _Placed(None, kinds.DOUBLED_BOX, "stands there twice; once left out",
                             kinds.PUT_RIGHT)
        boxes += [placed.box] if placed.box else []
        if placed.kind:
            issues.append(DataIssue(picture.annotation, placed.kind,
                                    f"{item.name}: {placed.detail}", item.name, placed.action))
    return tuple(boxes), issues


def _in_shares(objects: Sequence[AnnotatedObject],
               coordinates: Coordinates) -> set[AnnotatedObject]:
    """Return the objects whose numbers cannot be the pixels that they should be."""
    if coordinates.shares:
        return set()
    small = [item for item in objects
             if not item.outline and all(0 <= number <= 1 for number in item.numbers)]
    # 0, 0, 1, 1 alone may be a pixel; beside fractions it is the whole picture
    sure = any(not float(number).is_integer() for item in small for number in item.numbers)
    return set(small) if sure else set()


def _place(item: AnnotatedObject, coordinates: Coordinates, frame: Frame,
           classes: Classes) -> _Placed:
    label = classes.meaning(item.label)
    if not label:
        kind, detail = refusal(item.label)
        return _Placed(None, kind, detail)
    written = _written(item)
    if item.crowd:
        return _Placed(None, kinds.CROWD, f"{written} is a crowd, many objects under one box, of "
                                          f"which none can be learnt; set aside", kinds.SET_ASIDE)
    if not all(map(math.isfinite, item.numbers)):
        return _Placed(None, kinds.EMPTY_BOX, f"{written} are no numbers of a box; left out")
    width, height = frame.size
    if coordinates.shares and max(map(abs, item.numbers)) > _MOST_SHARE:
        return _Placed(None, kinds.WRONG_UNIT,
                       f"{written} look like pixels where shares of the picture, 0 to 1, are "
                       f"expected; divide them by its {width}x{height} pixels; left out")
    left, top, right, bottom = coordinates.corners(item.numbers)
    turned = right < left or bottom < top
    left, right, top, bottom = *sorted((left, right)), *sorted((top, bottom))
    if right <= left or bottom <= top:
        return _Placed(None, kinds.EMPTY_BOX, f"{written} encloses nothing; left out")
    across, down = (width, height) if coordinates.shares else frame.scale
    first = coordinates.first
    x1, y1, x2, y2 = ((left - first) * across, (top - first) * down, right * across, bottom * down)
    # many tools that write VOC count from 0: its first pixel is then the edge
    least = -first * max(frame.scale) - _slack(coordinates)
    past = min(x1, y1) < least or x2 > width + _slack(coordinates) \
        or y2 > height + _slack(coordinates)
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    where = f"{written} in an image of {width}x{height}"
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return _Placed(None, kinds.BOX_OUTSIDE, f"{where}; left out")
    box = Box(label, *_upright(inside, frame), item.difficult)
    if past:
        little = max(-min(x1, y1), x2 - width, y2 - height) <= _LITTLE * max(width, height)
        return _Placed(box, kinds.BOX_OUTSIDE, f"{where}; {WITHIN if little else 'clipped to it'}",
                       kinds.PUT_RIGHT)
    if turned:
        return _Placed(box, kinds.TURNED_BOX, f"{written} names the far corner first; turned "
                                              f"around", kinds.PUT_RIGHT)
    if item.outline:
        return _Placed(box, kinds.NO_BOX, f"has {_with_article(item.outline)} and no box; the box "
                                          f"around it was taken", kinds.PUT_RIGHT)
    return _Placed(box)


def _slack(coordinates: Coordinates) -> float:
    """Return how many pixels past the edge of a picture are no fault but rounding."""
    if coordinates.shares:
        return _ROUNDING
    return 0.0 if coordinates.first else _INEXACT


def _upright(edges: Edges, frame: Frame) -> Edges:
    return turn_edges(edges, frame.turned, frame.size)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _written(item: AnnotatedObject) -> str:
    return ",".join(f"{number:g}" for number in item.numbers)


def reach(picture: AnnotatedPicture) -> tuple[float, float]:
    """Return how far right and down the boxes of a picture reach, in pixels; 0, 0 without any."""
    if picture.coordinates.shares:
        return 0.0, 0.0
    corners = [item.numbers if item.outline else picture.coordinates.corners(item.numbers)
               for item in picture.objects if all(map(math.isfinite, item.numbers))]
    return (max((max(box[0], box[2]) for box in corners), default=0.0),
            max((max(box[1], box[3]) for box in corners), default=0.0))
