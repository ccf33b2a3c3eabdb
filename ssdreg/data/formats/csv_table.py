"""Tables with a box a line: CSV with or without a header, with the columns that are common.

Boxes are edges in pixels from 0, or shares of the picture where no number of the whole table is
more than 1. A line with an image and nothing else is an image without objects. Which column is what
is told by the header, else by what stands in the columns, else by ``--columns``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    CENTER_AND_SIZE,
    CORNER_AND_SIZE,
    CORNERS,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    Coordinates,
    count_labels,
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
from ssdreg.data.formats.csv_columns import Columns, Line, Table, knows_columns, read_table
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import number, size_of, whole
from ssdreg.data.text import declared_classes, is_text
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE

_SUFFIXES = (".csv", ".tsv")


@frozen
class _Rows:
    """The lines of one image, in the table's order."""

    name: str
    lines: list[Line] = field(factory=list, repr=False)


def recognize(contents: Contents) -> int:
    """Tell whether there is a table with boxes."""
    files = contents.with_suffix(*_SUFFIXES)
    tables = [file for file in files[:50] if _has_boxes(file)]
    if contents.root.is_file():
        return CERTAIN if tables else NO
    return POSSIBLE if tables else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return what tables are called, or what folders they lie in, where that is a split's name."""
    return tuple(sorted(name for name in _tables(root, ()) if name))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read the table of a split, or all; `columns` says what is in each column.

    Raises `DataError` when there is no table or split, and when it is not known which column is
    what.
    """
    tables = _tables(root, columns)
    if not tables:
        raise DataError(f"{root}: there is no table with boxes")
    if split not in tables:
        refuse_unknown_split(root, split, tables)
    images = (FileIndex.of_pictures_in(root) if root.is_dir()
              else FileIndex.of_pictures_near(root.parent))
    pictures: list[AnnotatedPicture] = []
    others: list[AnnotatedPicture] = []
    issues: list[DataIssue] = []
    for name, file in tables.items():
        inside = split in (None, name)
        for picture in _pictures(file, columns, images):
            if isinstance(picture, AnnotatedPicture):
                (pictures if inside else others).append(picture)
            elif inside:
                issues.append(picture)
    classes, declared = declared_classes(images.root)
    return AnnotatedSet(root, split or "all", tuple(pictures), count_labels([*pictures, *others]),
                        classes, declared, tuple(others), tuple(issues))


def _has_boxes(file: Path) -> bool:
    return file.is_file() and knows_columns(file)


def _tables(root: Path, columns: Sequence[str]) -> dict[str, Path]:
    """Return the tables by the names of their splits, "" for one that has none."""
    if root.is_file():
        return {"": root}
    named: dict[str, Path] = {}
    files = list_contents(root).with_suffix(*_SUFFIXES) if root.is_dir() else []
    for file in files:
        name = split_named(file, root)
        # one that is called after a split and is no text is damaged, which is said when it is read
        if not columns and not _has_boxes(file) and (not name or is_text(file)):
            continue
        if name in named:
            raise DataError(f"{root}: {as_text(named[name].relative_to(root))} and "
                            f"{as_text(file.relative_to(root))} are both tables"
                            f"{f' of a split {name!r}' if name else ''}: give the one that is "
                            f"meant")
        named[name] = file
    return named


def _pictures(file: Path, columns: Sequence[str],
              images: FileIndex) -> Iterator[AnnotatedPicture | DataIssue]:
    table = read_table(file, columns)
    coordinates = _coordinates(table)
    groups: dict[str, _Rows] = {}
    for line in table.lines:
        name = table.columns.get(line, "image")
        if not name:
            yield _bad(file, line, "names no image")
            continue
        groups.setdefault(name, _Rows(name)).lines.append(line)
    for rows in groups.values():
        candidates = images.find(rows.name, (file.parent,)) or _without_suffix(
            images, rows.name, file)
        if len(candidates) != 1:
            yield (several(file, rows.name, candidates, images.root) if candidates
                   else missing(file, rows.name))
            continue
        objects = []
        for line in rows.lines:
            read_line = _object(file, line, table)
            if isinstance(read_line, DataIssue):
                yield read_line
            elif read_line is not None:
                objects.append(read_line)
        size = size_of(table.columns.get(rows.lines[0], "width"),
                       table.columns.get(rows.lines[0], "height"))
        yield AnnotatedPicture(candidates[0], file, tuple(objects), size, coordinates)


def _without_suffix(images: FileIndex, name: str, file: Path) -> list[Path]:
    """Find a picture by an identifier, as tables of competitions have it."""
    return images.find_stem(name, (file.parent,))


def _coordinates(table: Table) -> Coordinates:
    layouts = {"x1": CORNERS, "x": CORNER_AND_SIZE, "cx": CENTER_AND_SIZE, "box": CORNER_AND_SIZE}
    chosen = Coordinates(layouts[table.columns.box[0]])
    numbers = [value for line in table.lines for value in table.columns.numbers(line)
               if math.isfinite(value)]
    fractions = any(not value.is_integer() for value in numbers)
    return evolve(chosen, shares=fractions and max(numbers, default=2.0) <= 1.0)


def _object(file: Path, line: Line, table: Table) -> AnnotatedObject | DataIssue | None:
    columns: Columns = table.columns
    label = columns.get(line, "label") if columns.has("label") else "object"
    values = columns.numbers(line)
    if columns.empty(line):
        return None  # an image without objects
    if not label:
        return _bad(file, line, "names no class")
    if len(values) != 4 or not all(map(math.isfinite, values)):
        return _bad(file, line, f"({label}) has no four numbers for a box")
    # -1 stands for unknown, as in Open Images
    crowd, difficult = ((whole(number(columns.get(line, name))) or 0) > 0
                        for name in ("crowd", "difficult"))
    return AnnotatedObject(line.number, label, (values[0], values[1], values[2], values[3]),
                           difficult, crowd)


def _bad(file: Path, line: Line, what: str) -> DataIssue:
    return DataIssue(file, kinds.UNREADABLE_ANNOTATION, f"line {line.number} {what}; left out",
                     f"line {line.number}")
