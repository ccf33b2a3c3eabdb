"""SageMaker's object detection in its image format: a JSON file a picture.

Pictures are in train/ and validation/, annotations in train_annotation/ and validation_annotation/.
Boxes are left, top, width, height in pixels; the numbers of classes are named in each file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssdreg.data.annotation import CORNER_PIXELS, AnnotatedObject, AnnotatedSet
from ssdreg.data.contents import SPLIT_FOLDERS, Contents
from ssdreg.data.formats.per_picture import Described, Files, annotation_files
from ssdreg.data.json_file import has_keys, number, read_json, size_of, whole
from ssdreg.registry.data_format import NO, POSSIBLE

_KEYS = ("file", "image_size", "annotations")


def recognize(contents: Contents) -> int:
    """Tell whether there are JSON files of a picture each, with file, size and annotations."""
    if not contents.root.is_dir():
        return NO
    return POSSIBLE if any(has_keys(file, *_KEYS)
                           for file in contents.with_suffix(".json")[:50]) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return the folders that are called as splits are, with or without ``_annotation``."""
    return _files(root).splits()


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read a folder; raise DataError where there is no annotation or split."""
    return _files(root).read(split)


def _files(root: Path) -> Files:
    return Files(root, annotation_files(root, *_KEYS), _parse, lambda file: _split(file, root),
                 CORNER_PIXELS)


def _split(file: Path, root: Path) -> str:
    for part in file.relative_to(root).parts[:-1]:
        word = part.split("_annotation")[0]
        if word.lower() in SPLIT_FOLDERS:
            return word
    return ""


def _parse(file: Path) -> Described:
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise ValueError("it has no list of annotations")
    categories = content.get("categories") or []
    if not isinstance(categories, list):
        raise ValueError("its categories are no list")
    names = {whole(entry.get("class_id")): str(entry.get("name") or "").strip()
             for entry in categories if isinstance(entry, dict)}
    classes = {key: name for key, name in names.items() if key is not None and name}
    objects = tuple(read_box(entry, place, classes)
                    for place, entry in enumerate(content["annotations"], start=1))
    return Described(str(content.get("file") or ""), read_size(content.get("image_size")), objects,
                     classes)


def read_size(value: Any) -> tuple[int, int] | None:
    """Return the size in SageMaker's list of one size; None for none."""
    first = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
    return size_of(first.get("width"), first.get("height"))


def read_box(value: Any, place: int, classes: dict[int, str]) -> AnnotatedObject:
    """Read an annotation; a class without a name is called by its number.

    Raises ValueError, a sentence that names it.
    """
    category = whole(value.get("class_id")) if isinstance(value, dict) else None
    if category is None:
        raise ValueError(f"annotation {place} has no class_id that is a whole number")
    label = classes.get(category, f"class {category}" if classes else f"class{category}")
    numbers = [number(value.get(key)) for key in ("left", "top", "width", "height")]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"annotation {place} ({label}) has no four numbers for a box")
    return AnnotatedObject(place, label, (numbers[0], numbers[1], numbers[2], numbers[3]))
