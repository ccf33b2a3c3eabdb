"""COCO: JSON files with images, annotations and categories, a file a split.

After Lin et al. 2014, "Microsoft COCO: Common Objects in Context", as its API, CVAT, Roboflow and
Label Studio write it. Boxes are x, y, width, height in pixels from the left and top edge; objects
with an outline alone, polygons or run lengths, get the box around it. Numbers of categories may
have holes; the classes are in their order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    CORNER_PIXELS,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    count_labels,
)
from ssdreg.data.contents import (
    SPLIT_FOLDERS,
    Contents,
    FileIndex,
    list_contents,
    missing,
    refuse_unknown_split,
    several,
    split_of,
)
from ssdreg.data.formats.outlines import outline_box
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import has_keys, is_damaged, number, read_json, size_of, whole
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO

#: More JSON files in one folder are annotations of single pictures.
_MOST_FILES = 20
_KEYS = ("images", "annotations", "categories")
_SPLIT = re.compile(r"(?:^|[-_.])(" + "|".join(sorted(SPLIT_FOLDERS, key=len, reverse=True))
                    + r")([-_]?\d{4})?(?:$|[-_.])", re.IGNORECASE)


@frozen
class _File:
    """One annotation file as read: its images, categories and objects by image."""

    path: Path
    images: dict[int, Mapping[str, Any]] = field(repr=False)
    categories: dict[int, str] = field(repr=False)
    objects: dict[int, list[tuple[int, Mapping[str, Any]]]] = field(repr=False)
    issues: list[DataIssue] = field(factory=list, repr=False)
    #: What the categories are called together.
    parents: dict[int, str] = field(factory=dict, repr=False)


def recognize(contents: Contents) -> int:
    """Tell whether there is a JSON file with images, annotations and categories."""
    return CERTAIN if _files(contents) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return what the annotation files are called, without what is common to all."""
    named = _named(root)
    if len(named) == 1 and not any(_split_word(file, root) for file in named.values()):
        return ()
    return tuple(sorted(named))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read the annotation file of a split, or all; the classes are those of all files.

    Raises `DataError` when there is no such file or split, or a file is damaged as a whole.
    """
    named = _named(root)
    if split not in named:  # a single file may be called by its name, which is no split's
        refuse_unknown_split(root, split, splits(root))
    images = (FileIndex.of_pictures_in(root) if root.is_dir()
              else FileIndex.of_pictures_near(root.parent))
    read_files = {name: _read(file) for name, file in named.items()}
    classes, dropped = _classes(tuple(read_files.values()))
    pictures: list[AnnotatedPicture] = []
    others: list[AnnotatedPicture] = []
    issues: list[DataIssue] = list(dropped)
    for name, file in read_files.items():
        inside = split in (None, name)
        outcomes = list(_pictures(file, name, images))
        (pictures if inside else others).extend(outcome for outcome in outcomes
                                                if isinstance(outcome, AnnotatedPicture))
        if inside:
            issues += [*file.issues, *(outcome for outcome in outcomes
                                       if isinstance(outcome, DataIssue))]
    return AnnotatedSet(root, split or "all", tuple(pictures),
                        count_labels([*pictures, *others]), classes,
                        next(iter(named.values())), tuple(others), tuple(issues))


def _files(contents: Contents) -> list[Path]:
    by_folder: dict[Path, list[Path]] = {}
    for file in contents.with_suffix(".json"):
        by_folder.setdefault(file.parent, []).append(file)
    return [file for files in by_folder.values() if len(files) <= _MOST_FILES
            for file in _own(files)]


def _own(files: Sequence[Path]) -> list[Path]:
    """Return those of a folder that have the keys, and damaged ones that are called as they are.

    These are read too, so that a split that is lost is said to be.
    """
    own = [file for file in files if has_keys(file, *_KEYS)]
    return [file for file in files if file in own or (
        own and _SPLIT.search(file.stem) and is_damaged(file))]


def _named(root: Path) -> dict[str, Path]:
    """Return the annotation files by the names of their splits."""
    files = _files(list_contents(root)) if root.exists() else []
    if not files:
        raise DataError(f"{root}: this is not a data set in COCO's format: no JSON file has "
                        f"images, annotations and categories")
    instances = [file for file in files if file.stem.startswith("instances")]
    chosen = instances or files
    named: dict[str, Path] = {}
    for file in chosen:
        name = _split_word(file, root) or file.stem
        if name in named:
            raise DataError(f"{root}: {as_text(named[name].relative_to(root))} and "
                            f"{as_text(file.relative_to(root))} are both of a split {name!r}: give "
                            f"the file that is meant")
        named[name] = file
    return named


def is_split_name(name: str) -> bool:
    """Tell whether a file called after a split is known to be, whatever stands in front."""
    return _word(f"instances_{name}") == name


def _word(stem: str) -> str:
    match = _SPLIT.search(stem)
    return f"{match.group(1)}{match.group(2) or ''}" if match else ""


def _split_word(file: Path, root: Path) -> str:
    word = _word(file.stem)
    if word:
        return word
    return split_of(file, root) if file != root else ""


def _read(path: Path) -> _File:
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: {error}") from error
    lists = [content[key] for key in _KEYS
             if isinstance(content, dict) and isinstance(content.get(key), list)]
    if len(lists) != len(_KEYS):
        raise DataError(f"{path}: images, annotations and categories are not lists, as COCO has "
                        f"them")
    file = _File(path, {}, {}, {})
    images, annotations, categories = lists
    for place, entry in _entries(file, categories, "category"):
        identity, name = whole(entry.get("id")), entry.get("name")
        if identity is None or not isinstance(name, str) or not name.strip():
            file.issues.append(_unreadable(path, f"category {place}", "has no id or no name"))
        else:
            file.categories[identity] = name.strip()
            file.parents[identity] = str(entry.get("supercategory") or "").strip()
    for place, entry in _entries(file, images, "image"):
        identity = whole(entry.get("id"))
        if identity is None or not isinstance(entry.get("file_name"), str):
            file.issues.append(_unreadable(path, f"image {place}", "has no id or no file_name"))
        elif identity in file.images:
            file.issues.append(_unreadable(path, f"image {place}",
                                           f"has the id {identity}, as another one before it"))
        else:
            file.images[identity] = entry
    for place, entry in _entries(file, annotations, "annotation"):
        image = whole(entry.get("image_id"))
        if image is None or image not in file.images:
            file.issues.append(_unreadable(path, f"annotation {entry.get('id', place)}",
                                           f"is of image {entry.get('image_id')!r}, which there "
                                           f"is not"))
        else:
            file.objects.setdefault(image, []).append((place, entry))
    return file


def _entries(file: _File, values: Sequence[Any],
             what: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for place, entry in enumerate(values, start=1):
        if isinstance(entry, dict):
            yield place, entry
        else:
            file.issues.append(_unreadable(file.path, f"{what} {place}", "is no object of JSON"))


def _unreadable(path: Path, name: str, what: str) -> DataIssue:
    return DataIssue(path, kinds.UNREADABLE_ANNOTATION, f"{name} {what}; left out", name)


def _classes(files: Sequence[_File]) -> tuple[tuple[str, ...], list[DataIssue]]:
    """Return the classes of all files in the order of their numbers, each once.

    A first category that only is the common name of the others, as Roboflow writes it, is none.
    """
    names: dict[str, int] = {}
    used: set[str] = set()
    for file in files:
        for identity in sorted(file.categories):
            names.setdefault(file.categories[identity], identity)
        used |= {file.categories.get(whole(entry.get("category_id")) or 0, "")
                 for entries in file.objects.values() for _, entry in entries}
    ordered = sorted(names, key=lambda name: names[name])
    heading = ordered[0] if ordered and names[ordered[0]] == 0 else ""
    if heading and heading not in used and len(ordered) > 1 and _is_heading(files, heading):
        return tuple(ordered[1:]), [DataIssue(
            files[0].path, kinds.EMPTY_CLASS, f"{heading!r}, category 0, is what all others are "
            f"called together, and no object is of it; left out of the classes", heading,
            kinds.PUT_RIGHT)]
    return tuple(ordered), []


def _is_heading(files: Sequence[_File], name: str) -> bool:
    parents = {parent for file in files for identity, parent in file.parents.items()
               if file.categories[identity] != name}
    return parents == {name}


def _pictures(file: _File, split: str,
              images: FileIndex) -> Iterator[AnnotatedPicture | DataIssue]:
    named_so = sorted({image.parent for image in images.files if image.parent.name == split})
    for identity, entry in file.images.items():
        name = entry["file_name"]
        candidates = images.find(name, (file.path.parent, *named_so))
        objects, issues = _objects(file, identity)
        if not candidates:
            yield missing(file.path, name)
            continue
        if len(candidates) > 1:
            yield several(file.path, name, candidates, images.root)
            continue
        yield from issues
        yield AnnotatedPicture(candidates[0], file.path, tuple(objects),
                               size_of(entry.get("width"), entry.get("height")), CORNER_PIXELS)


def _objects(file: _File, image: int) -> tuple[list[AnnotatedObject], list[DataIssue]]:
    objects, issues = [], []
    for place, entry in file.objects.get(image, ()):
        identity = whole(entry.get("id"))
        identity = place if identity is None else identity
        category = whole(entry.get("category_id"))
        label = "" if category is None else file.categories.get(category, "")
        where = f"annotation {identity} of {file.images[image]['file_name']}"
        if not label:
            issues.append(DataIssue(file.path, kinds.UNKNOWN_CLASS,
                                    f"{where} is of category {entry.get('category_id')!r}, which "
                                    f"there is not; left out", f"annotation {identity}"))
            continue
        crowd, difficult = (bool(whole(entry.get(key)) or 0) for key in ("iscrowd", "difficult"))
        box = entry.get("bbox")
        numbers = [number(value) for value in box] if isinstance(box, list) else []
        if len(numbers) == 4 and all(map(math.isfinite, numbers)) and any(numbers):
            x, y, width, height = numbers
            objects.append(AnnotatedObject(identity, label, (x, y, width, height), difficult,
                                           crowd))
            continue
        try:
            corners = outline_box(entry.get("segmentation"))
        except ValueError as error:
            issues.append(_unreadable(file.path, where, f"has no usable bbox, and {error}"))
            continue
        objects.append(AnnotatedObject(identity, label, corners, difficult, crowd, "outline"))
    return objects, issues
