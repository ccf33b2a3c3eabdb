"""LabelMe: a JSON file a picture, with shapes, as its program, X-AnyLabeling and others write it.

A rectangle is two opposite corners, in either order, in pixels from the left and top edge. Of other
shapes the box around them is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssdreg.data.annotation import AnnotatedObject, AnnotatedSet, Numbers, enclosing
from ssdreg.data.contents import Contents, split_of
from ssdreg.data.formats.per_picture import Described, Files, annotation_files
from ssdreg.data.json_file import has_keys, number, read_json, size_of
from ssdreg.registry.data_format import NO, POSSIBLE

_KEYS = ("shapes", "imagePath")


def recognize(contents: Contents) -> int:
    """Tell whether there are JSON files with shapes."""
    if not contents.root.is_dir():
        return NO
    return POSSIBLE if any(has_keys(file, *_KEYS)
                           for file in contents.with_suffix(".json")[:50]) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return the folders that are called as splits are."""
    return _files(root).splits()


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read a folder; raise DataError where there is no annotation or split."""
    return _files(root).read(split)


def _files(root: Path) -> Files:
    return Files(root, annotation_files(root, "shapes"), _parse, lambda file: split_of(file, root))


def _parse(file: Path) -> Described:
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError("it has no list of shapes")
    objects = tuple(_object(shape, place) for place, shape in enumerate(content["shapes"], 1))
    return Described(str(content.get("imagePath") or ""),
                     size_of(content.get("imageWidth"), content.get("imageHeight")), objects)


def _object(shape: Any, place: int) -> AnnotatedObject:
    if not isinstance(shape, dict) or not str(shape.get("label") or "").strip():
        raise ValueError(f"shape {place} has no label")
    label, kind = str(shape["label"]).strip(), str(shape.get("shape_type") or "polygon")
    try:
        points = [(number(x), number(y)) for x, y in shape.get("points") or ()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"shape {place} ({label}) has points that are none") from error
    difficult = shape.get("difficult") is True
    try:
        if kind == "rectangle":
            # newer programs write all four corners
            return AnnotatedObject(place, label, enclosing(points), difficult)
        corners = _circle(points) if kind == "circle" else enclosing(points)
    except ValueError as error:
        raise ValueError(f"shape {place} ({label}): {error}") from error
    return AnnotatedObject(place, label, corners, difficult, outline=kind)


def _circle(points: Sequence[tuple[float, float]]) -> Numbers:
    """Return the box around a circle of a center and a point on it."""
    if len(points) != 2:
        raise ValueError("a circle is a center and a point on it")
    (x, y), (to_x, to_y) = points
    radius = math.hypot(to_x - x, to_y - y)
    return enclosing([(x - radius, y - radius), (x + radius, y + radius)])
