"""CVAT for images 1.1: an XML file with every picture of a task or project.

Boxes are edges in pixels from 0. Turned boxes, polygons and the other shapes get the box around
them. Subsets are splits; of several files, each called after a split, every one is a split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from attrs import frozen
from ssdreg_runtime.system.xml_file import read_xml

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    EDGES,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    Numbers,
    count_labels,
    enclosing,
)
from ssdreg.data.contents import (
    Contents,
    FileIndex,
    list_contents,
    missing,
    refuse_unknown_split,
    several,
    split_named,
)
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import number, size_of
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO

#: Bytes of the file: some ten million objects.
MAX_FILE = 2**31
_ROOT_TAG = re.compile(rb"<annotations[\s>]")
_SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid")


@frozen
class _Task:
    """A file as read, and the split that it is called after, "" where it is the only one."""

    file: Path
    document: Element
    split: str

    @property
    def images(self) -> Iterator[tuple[str, Element]]:
        """The pictures, each with its split."""
        return ((self.split or image.get("subset") or "", image)
                for image in self.document.iter("image"))

    @property
    def labels(self) -> Iterator[str]:
        """The names that are declared."""
        return ((label.findtext("name") or "").strip()
                for label in self.document.findall("meta//labels/label"))


def recognize(contents: Contents) -> int:
    """Tell whether there is an XML file whose root is <annotations>."""
    return CERTAIN if any(map(_is_own, _candidates(contents))) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return the subsets."""
    return tuple(sorted({subset for task in _tasks(root) for subset, _ in task.images} - {""}))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read a subset, or all.

    Raises `DataError` when there is no such file or subset, for tracks of a video, and for a file
    that is damaged.
    """
    tasks = _tasks(root)
    images = FileIndex.of_pictures_in(root if root.is_dir() else root.parent)
    inside: list[AnnotatedPicture] = []
    others: list[AnnotatedPicture] = []
    issues: list[DataIssue] = []
    refuse_unknown_split(root, split, (subset for task in tasks for subset, _ in task.images))
    folders: dict[str, set[Path]] = {}
    for image in images.files:
        folders.setdefault(image.parent.name, set()).add(image.parent)
    for task in tasks:
        for subset, node in task.images:
            try:
                near = sorted(folders.get(subset, ()))
                picture = _picture(task.file, node, images, near)
            except ValueError as error:
                picture = DataIssue(task.file, kinds.UNREADABLE_ANNOTATION,
                                    f"image {node.get('name')}: {error}; image left out",
                                    f"image {node.get('name')}")
            wanted = split in (None, subset)
            if isinstance(picture, AnnotatedPicture):
                (inside if wanted else others).append(picture)
            elif wanted:
                issues.append(picture)
    names = tuple(dict.fromkeys(name for task in tasks for name in task.labels if name))
    return AnnotatedSet(root, split or "all", tuple(inside), count_labels([*inside, *others]),
                        names or None, tasks[0].file, tuple(others), tuple(issues))


def _candidates(contents: Contents) -> list[Path]:
    files = contents.with_suffix(".xml")
    # an annotation a picture is another format
    return files if len(files) <= 50 else []


def _is_own(file: Path) -> bool:
    if not file.is_file():
        return False  # a link to nowhere
    with file.open("rb") as stream:
        return bool(_ROOT_TAG.search(stream.read(4096).replace(b"\0", b"")))


def _tasks(root: Path) -> list[_Task]:
    """Read the files. Raises DataError where there is none, or several without splits."""
    files = [file for file in _candidates(list_contents(root)) if _is_own(file)] \
        if root.exists() else []
    if not files:
        raise DataError(f"{root}: there is no XML file of CVAT")
    if len(files) == 1:
        return [_task(files[0], "")]
    named = {file: split_named(file, root) for file in files}
    if "" in named.values() or len(set(named.values())) < len(files):
        raise DataError(f"{root}: {' and '.join(file.name for file in files[:4])} are all of CVAT: "
                        f"give the one that is meant")
    return [_task(file, subset) for file, subset in named.items()]


def _task(file: Path, split: str) -> _Task:
    try:
        document = read_xml(file, MAX_FILE)
    except (ValueError, OSError) as error:
        raise DataError(f"{file}: {error}") from error
    if document.find("track") is not None:
        raise DataError(f"{file} has tracks of a video: export the task as CVAT for images 1.1")
    return _Task(file, document, split)


def _picture(file: Path, node: Element, images: FileIndex,
             near: Sequence[Path]) -> AnnotatedPicture | DataIssue:
    name = (node.get("name") or "").strip()
    if not name:
        raise ValueError("it has no name")
    shapes = [child for child in node if child.tag in _SHAPES]
    objects = tuple(_object(shape, place) for place, shape in enumerate(shapes, start=1))
    candidates = images.find(name, near)
    if not candidates:
        return missing(file, name)
    if len(candidates) > 1:
        return several(file, name, candidates, images.root)
    return AnnotatedPicture(candidates[0], file, objects,
                            size_of(node.get("width"), node.get("height")), EDGES)


def _object(shape: Element, place: int) -> AnnotatedObject:
    label = (shape.get("label") or "").strip()
    if not label:
        raise ValueError(f"{shape.tag} {place} has no label")
    try:
        if shape.tag != "box":
            return AnnotatedObject(place, label, _outline(shape), outline=shape.tag)
        edges = [number(shape.get(edge)) for edge in ("xtl", "ytl", "xbr", "ybr")]
        corners = edges[0], edges[1], edges[2], edges[3]
        if not all(map(math.isfinite, corners)):
            raise ValueError("it has no four numbers for a box")
        angle = number(shape.get("rotation") or 0)
        if angle % 180 == 0:
            return AnnotatedObject(place, label, corners)
        return AnnotatedObject(place, label, _turned(corners, math.radians(angle)),
                               outline="turned box")
    except ValueError as error:
        raise ValueError(f"{shape.tag} {place} ({label}): {error}") from error


def _outline(shape: Element) -> Numbers:
    if shape.tag == "ellipse":
        x, y, across, down = (number(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
        return enclosing([(x - across, y - down), (x + across, y + down)])
    if shape.tag == "mask":
        left, top, width, height = (number(shape.get(key))
                                    for key in ("left", "top", "width", "height"))
        return enclosing([(left, top), (left + width, top + height)])
    if shape.tag == "cuboid":
        values = [(number(shape.get(f"x{key}")), number(shape.get(f"y{key}")))
                  for key in ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")]
        return enclosing(values)
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError("its outline has no usable points")
    return enclosing([(number(x), number(y)) for x, y in pairs])


def _turned(corners: Numbers, angle: float) -> Numbers:
    """Return the box around a box that is turned about its center."""
    x1, y1, x2, y2 = corners
    x, y, width, height = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
    across = abs(width * math.cos(angle)) + abs(height * math.sin(angle))
    down = abs(width * math.sin(angle)) + abs(height * math.cos(angle))
    return x - across / 2, y - down / 2, x + across / 2, y + down / 2
