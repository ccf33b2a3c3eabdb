"""SageMaker's augmented manifest, as Ground Truth writes it: a JSON object a line, one a picture.

``source-ref`` names the picture, often in a bucket: the picture of that name here is taken. The
attribute with the boxes is the one whose value has ``annotations``; the names of its classes are
in its ``-metadata``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    CORNER_PIXELS,
    AnnotatedPicture,
    AnnotatedSet,
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
from ssdreg.data.formats.sagemaker import read_box, read_size
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import has_keys, parse_json, whole
from ssdreg.data.text import read_lines
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO

_SUFFIXES = (".manifest", ".jsonl", ".lst", ".json")
_SOURCE = "source-ref"
_METADATA = "-metadata"
_MAX = 2**32


@frozen
class _Read:
    """The pictures of one manifest, what is wrong with its lines, and the classes it names."""

    pictures: tuple[AnnotatedPicture, ...]
    issues: tuple[DataIssue, ...]
    classes: dict[int, str]


def recognize(contents: Contents) -> int:
    """Tell whether there is a file whose lines name their source."""
    return CERTAIN if _manifests(contents) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return what manifests are called, or what folders they lie in, where it is a split's name."""
    return tuple(sorted(name for name in _named(root) if name))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read the manifest of a split, or all; raise DataError where there is none."""
    named = _named(root)
    if not named:
        raise DataError(f"{root}: there is no manifest, whose lines have {_SOURCE}")
    if split not in named:
        refuse_unknown_split(root, split, named)
    images = FileIndex.of_pictures_near(root if root.is_dir() else root.parent)
    files = {name: _read(file, images) for name, file in named.items()}
    inside = [manifest for name, manifest in files.items() if split in (None, name)]
    outside = [manifest for name, manifest in files.items() if split not in (None, name)]
    numbered = {number: name for manifest in files.values()
                for number, name in manifest.classes.items()}
    pictures = tuple(picture for manifest in inside for picture in manifest.pictures)
    others = tuple(picture for manifest in outside for picture in manifest.pictures)
    classes = tuple(dict.fromkeys(numbered[number] for number in sorted(numbered))) or None
    return AnnotatedSet(root, split or "all", pictures, count_labels([*pictures, *others]), classes,
                        next(iter(named.values())), others,
                        tuple(issue for manifest in inside for issue in manifest.issues))


def _manifests(contents: Contents) -> list[Path]:
    files = contents.with_suffix(*_SUFFIXES)
    if len(files) > 1000:  # an annotation a picture
        files = [file for file in files if file.suffix != ".json"]
    own = [file for file in files if has_keys(file, _SOURCE)]
    # another that is called so and has no such line is damaged, which is said when it is read
    return [file for file in files if file in own or (own and file.suffix == ".manifest")]


def _named(root: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for file in _manifests(list_contents(root)) if root.exists() else []:
        name = "" if root.is_file() else split_named(file, root)
        if name in named:
            raise DataError(f"{root}: {named[name].name} and {file.name} are both manifests"
                            f"{f' of a split {name!r}' if name else ''}: give the one that is "
                            f"meant")
        named[name] = file
    return named


def _read(file: Path, images: FileIndex) -> _Read:
    try:
        lines = read_lines(file, _MAX)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    pictures: list[AnnotatedPicture] = []
    issues: list[DataIssue] = []
    classes: dict[int, str] = {}
    for place, line in enumerate(lines, start=1):
        try:
            entry = parse_json(line)
            if not isinstance(entry, dict) or not isinstance(entry.get(_SOURCE), str):
                raise ValueError(f"it has no {_SOURCE}")
            own = dict(_class_map(entry))
            picture = _picture(file, entry, own, images)
        except ValueError as error:
            issues.append(DataIssue(file, kinds.UNREADABLE_ANNOTATION,
                                    f"line {place}: {error}; image left out", f"line {place}"))
            continue
        classes.update(own)
        if isinstance(picture, AnnotatedPicture):
            pictures.append(picture)
        else:
            issues.append(picture)
    return _Read(tuple(pictures), tuple(issues), classes)


def _class_map(entry: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for key, value in entry.items():
        names = value.get("class-map") if key.endswith(_METADATA) and isinstance(value, dict) \
            else None
        for number, name in names.items() if isinstance(names, dict) else ():
            place = whole(number)
            if place is not None and str(name).strip():
                yield place, str(name).strip()


def _picture(file: Path, entry: Mapping[str, Any], classes: dict[int, str],
             images: FileIndex) -> AnnotatedPicture | DataIssue:
    boxes = [value for key, value in entry.items() if isinstance(value, dict)
             and isinstance(value.get("annotations"), list)]
    if len(boxes) != 1:
        raise ValueError("it has no attribute with annotations" if not boxes else
                         "it has several attributes with annotations: keep the one that is meant")
    objects = tuple(read_box(annotation, place, classes)
                    for place, annotation in enumerate(boxes[0]["annotations"], start=1))
    name = entry[_SOURCE]
    candidates = images.find(name, (file.parent,))
    if not candidates:
        return missing(file, name)
    if len(candidates) > 1:
        return several(file, name, candidates, images.root)
    return AnnotatedPicture(candidates[0], file, objects, read_size(boxes[0].get("image_size")),
                            CORNER_PIXELS)
