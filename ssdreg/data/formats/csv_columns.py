"""The columns of a table of boxes: which of them is what."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from ssdreg.data.contents import PICTURES
from ssdreg.data.json_file import number
from ssdreg.data.text import decoded
from ssdreg.errors import DataError

#: Bytes of a table: fifty million lines.
MAX_TABLE = 2**32
#: Bytes that tell whether a file is a table of boxes.
_HEAD = 2**16
#: What a column may be, with the names that headers have for it.
ROLES = {
    "image": ("image", "filename", "file_name", "file", "image_path", "path", "img", "image_id",
              "imageid", "imagename", "image_name", "img_path", "filepath", "frame", "external_id"),
    "label": ("label", "class", "class_name", "classname", "category", "name", "labelname",
              "label_name", "object", "type", "class_id", "target"),
    "x1": ("x1", "xmin", "x_min", "xtl", "left", "bbox_x1", "bbox_xmin", "x_from"),
    "y1": ("y1", "ymin", "y_min", "ytl", "top", "bbox_y1", "bbox_ymin", "y_from"),
    "x2": ("x2", "xmax", "x_max", "xbr", "right", "bbox_x2", "bbox_xmax", "x_to"),
    "y2": ("y2", "ymax", "y_max", "ybr", "bottom", "bbox_y2", "bbox_ymax", "y_to"),
    "x": ("x", "bbox_x"), "y": ("y", "bbox_y"),
    "w": ("w", "bbox_w", "bbox_width", "box_width"), "h": ("h", "bbox_h", "bbox_height",
                                                           "box_height"),
    "cx": ("cx", "x_center", "xcenter", "center_x", "xc"),
    "cy": ("cy", "y_center", "ycenter", "center_y", "yc"),
    "width": ("width", "image_width", "img_width", "imagewidth", "img_w"),
    "height": ("height", "image_height", "img_height", "imageheight", "img_h"),
    "box": ("bbox", "box"),
    "crowd": ("isgroupof", "iscrowd", "crowd"),
    "difficult": ("difficult", "isdifficult"),
}
#: The columns that may hold a box, in their order.
BOXES = (("x1", "y1", "x2", "y2"), ("x", "y", "w", "h"), ("cx", "cy", "w", "h"), ("box",))
#: Orders of columns without a header: what stands in them (text or number), and what they are.
_ORDERS = (
    ("tnnnnt", "image,x1,y1,x2,y2,label"),
    ("ttnnnn", "image,label,x1,y1,x2,y2"),
    ("tnntnnnn", "image,width,height,label,x1,y1,x2,y2"),
    ("tnnnntnn", "image,x1,y1,x2,y2,label,width,height"),
    # Google's AutoML: the set, and the corners twice, of which two may be empty
    ("tttnnnnnnnn", "-,image,label,x1,y1,-,-,x2,y2,-,-"),
    ("tttnn--nn--", "-,image,label,x1,y1,-,-,x2,y2,-,-"),
)
_LIST = re.compile(r"[-+.\deE]+")


@frozen
class Line:
    """A line of a table: its number, from 1, and its values."""

    number: int
    values: tuple[str, ...]


@frozen
class Columns:
    """Which place each role has in a line."""

    places: dict[str, int]

    def has(self, role: str) -> bool:
        """Tell whether there is such a column."""
        return role in self.places

    def get(self, line: Line, role: str) -> str:
        """Return what a line has there, "" where it has nothing."""
        place = self.places.get(role, -1)
        return line.values[place] if 0 <= place < len(line.values) else ""

    @property
    def box(self) -> tuple[str, ...]:
        """The roles of the columns with the box."""
        return next(roles for roles in BOXES if all(role in self.places for role in roles))

    def numbers(self, line: Line) -> tuple[float, ...]:
        """Return the numbers of a line's box, NaN for what is none."""
        if self.box == ("box",):
            return tuple(number(text) for text in _LIST.findall(self.get(line, "box")))
        return tuple(number(self.get(line, role)) for role in self.box)

    def empty(self, line: Line) -> bool:
        """Tell whether a line has no box at all."""
        return not any(self.get(line, role) for role in self.box)


@frozen
class Table:
    """A table: its columns, and its lines without the header."""

    columns: Columns
    lines: tuple[Line, ...] = field(repr=False)


def knows_columns(file: Path) -> bool:
    """Tell whether a file begins as a table of boxes whose columns are known."""
    try:
        with file.open("rb") as stream:
            # what is cut off at the end is a line too short, which says nothing of the others
            head = stream.read(_HEAD)
        lines = _lines(file, head if len(head) < _HEAD else head[:head.rfind(b"\n")])
        return bool(lines) and (_header(lines[0]) is not None or _ordered(file, lines) is not None)
    except DataError:
        return False


def read_table(file: Path, columns: Sequence[str]) -> Table:
    """Read a table; `columns` are roles, ``-`` for a column that is of no use.

    Raises DataError for what is no table of boxes, and where the columns are not known.
    """
    if not file.is_file():
        raise DataError(f"{file} is no file")
    if file.stat().st_size > MAX_TABLE:
        raise DataError(f"{file} has {file.stat().st_size:,} bytes: no table of boxes is that "
                        f"large")
    lines = _lines(file, file.read_bytes())
    if columns:
        chosen = _given(file, columns)
        header = bool(lines) and not chosen.empty(lines[0]) and all(
            math.isnan(value) for value in chosen.numbers(lines[0]) or (math.nan,))
        return Table(chosen, lines[1:] if header else lines)
    if not lines:
        raise DataError(f"{file} is empty")
    named = _header(lines[0])
    if named is not None:
        return Table(named, lines[1:])
    shown = ",".join(lines[0].values)[:80]
    ordered = _ordered(file, lines)
    if ordered is not None:
        return Table(ordered, lines)
    raise DataError(f"{file}: it is not known which column is what, and the first line, {shown!r}, "
                    f"is no header that tells: name them by --columns, as in "
                    f"image,x1,y1,x2,y2,label (- for a column of no use)")


def _ordered(file: Path, lines: Sequence[Line]) -> Columns | None:
    """Return the columns of a table without a header by what stands in them; None for none."""
    for kinds, roles in _ORDERS:
        ordered = _given(file, roles.split(","))
        if all(_fits(line, kinds) for line in lines[:20]) and any(
                not ordered.empty(line) for line in lines[:20]):
            return ordered
    return None


def _lines(file: Path, content: bytes) -> tuple[Line, ...]:
    try:
        text = decoded(content, "surrogateescape")
        first = text[:4096]
        delimiter = max((",", ";", "\t"), key=first.count)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        return tuple(Line(rows.line_num, tuple(value.strip() for value in row))
                     for row in rows if any(value.strip() for value in row))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is no table of text: {error}") from error


def _given(file: Path, columns: Sequence[str]) -> Columns:
    places = {role: place for place, role in enumerate(columns) if role not in ("-", "")}
    unknown = [role for role in places if role not in ROLES]
    if unknown:
        raise DataError(f"--columns: a column is no {unknown[0]!r}; it may be "
                        f"{', '.join(ROLES)}, or - for one of no use")
    if "image" not in places or not _has_box(places):
        raise DataError(f"--columns for {file}: image is needed, and a box: "
                        f"{' or '.join(','.join(roles) for roles in BOXES)}")
    return Columns(places)


def _has_box(places: dict[str, int]) -> bool:
    return any(all(role in places for role in roles) for roles in BOXES)


def _header(line: Line) -> Columns | None:
    """Return the columns that a header names; None for a line that is none."""
    words = [re.sub(r"[\s.-]+", "_", value.lower()).strip("_") for value in line.values]
    places: dict[str, int] = {}
    for role, names in ROLES.items():
        columns = [words.index(name) for name in names if name in words]
        if columns:
            places[role] = columns[0]
    # beside x and y alone, width and height are the box's and not the picture's
    if not _has_box(places) and {"width", "height"} <= set(places):
        corner = ("x", "y") if {"x", "y"} <= set(places) else ("x1", "y1")
        if set(corner) <= set(places):
            sides = {"w": places.pop("width"), "h": places.pop("height")}
            places = {**places, "x": places[corner[0]], "y": places[corner[1]], **sides}
    return Columns(places) if "image" in places and _has_box(places) else None


def _fits(line: Line, kinds: str) -> bool:
    """Tell whether a line's values are of these kinds: text, number or nothing."""
    if len(line.values) != len(kinds):
        return False
    for value, kind in zip(line.values, kinds):
        is_number = not math.isnan(number(value))
        if kind == "n" and not is_number and value:
            return False
        if kind == "-" and value:
            return False
    first = line.values[1] if kinds.startswith("ttt") else line.values[0]
    return Path(first).suffix.lower() in PICTURES
