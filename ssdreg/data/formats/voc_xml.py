"""One annotation in VOC's XML: its objects, and what it says of the picture."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element

from attrs import frozen
from ssdreg_runtime.system.xml_file import read_xml

from ssdreg.data.annotation import AnnotatedObject, Numbers, enclosing

#: Bytes of one annotation: a hundred thousand objects.
MAX_ANNOTATION = 32 * 2**20

_EDGES = ("xmin", "ymin", "xmax", "ymax")


@frozen
class Annotation:
    """What an XML file says: the picture's file name, "" for none, its size, and the objects."""

    filename: str
    size: tuple[int, int] | None
    objects: tuple[AnnotatedObject, ...]


def parse(file: Path) -> Annotation:
    """Read an annotation. Raises ValueError, a sentence without the file's name, or OSError."""
    root = read_xml(file, MAX_ANNOTATION)
    if root.tag != "annotation":
        raise ValueError(f"it is no annotation: its root is <{root.tag}>, not <annotation>")
    return Annotation(
        (root.findtext("filename") or "").strip(), _size(root),
        tuple(_object(node, number) for number, node in enumerate(root.iter("object"), start=1)))


def _size(root: Element) -> tuple[int, int] | None:
    sides = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    if not all(1 <= side < math.inf for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def _object(node: Element, number: int) -> AnnotatedObject:
    label = (node.findtext("name") or "").strip()
    if not label:
        raise ValueError(f"object {number} has no name")
    difficult = (node.findtext("difficult") or "0").strip() in ("1", "true", "True")
    box = node.find("bndbox")
    if box is not None:
        return AnnotatedObject(number, label, _corners(box, number, label), difficult)
    for tag, read, words in (("polygon", _polygon, "outline"), ("robndbox", _turned, "turned box")):
        outline = node.find(tag)
        if outline is not None:
            try:
                return AnnotatedObject(number, label, read(outline), difficult, outline=words)
            except ValueError as error:
                raise ValueError(f"object {number} ({label}): {error}") from error
    raise ValueError(f"object {number} ({label}) has no usable xmin: it has no box")


def _corners(box: Element, number: int, label: str) -> Numbers:
    edges = []
    for edge in _EDGES:
        value = _number(box.findtext(edge))
        if not math.isfinite(value):
            raise ValueError(f"object {number} ({label}) has no usable {edge}")
        edges.append(value)
    return edges[0], edges[1], edges[2], edges[3]


def _number(text: str | None) -> float:
    """Return a number, or NaN where there is none."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _polygon(node: Element) -> Numbers:
    """Read x1, y1, x2, y2 and so on, as RectLabel has them, or points, as LabelMe's first tool."""
    points = [(_number(point.findtext("x")), _number(point.findtext("y")))
              for point in node.iter("pt")]
    count = sum(1 for child in node if child.tag.startswith("x"))
    points += [(_number(node.findtext(f"x{place}")), _number(node.findtext(f"y{place}")))
               for place in range(1, count + 1)]
    return enclosing(points)


def _turned(node: Element) -> Numbers:
    """Read center, size and angle in radians, as roLabelImg has them."""
    x, y, width, height, angle = (_number(node.findtext(tag))
                                  for tag in ("cx", "cy", "w", "h", "angle"))
    across = abs(width * math.cos(angle)) + abs(height * math.sin(angle))
    down = abs(width * math.sin(angle)) + abs(height * math.cos(angle))
    return enclosing([(x - across / 2, y - down / 2), (x + across / 2, y + down / 2)])
