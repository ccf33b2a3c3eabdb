"""Annotations of a job, each a JSON file a picture, brought to one list of classes.

The built-in algorithm tells classes by their numbers alone. Here a class has a name as well, so
every annotation is written anew with the names that hold for the whole job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ssdreg.data.json_file import read_json, whole
from ssdreg.errors import DataError


@frozen
class Annotation:
    """What one file says, as JSON; None where it cannot be read.

    `name` is the file's, without folders above those of the annotations.
    """

    name: str
    content: Mapping[str, Any] | None = field(repr=False)


def of_files(folder: Path) -> Iterator[Annotation]:
    """Give the annotations of a folder, in the order of their names."""
    for file in sorted(folder.rglob("*.json")):
        name = str(file.relative_to(folder))
        try:
            content = read_json(file)
            if not isinstance(content, dict):
                raise ValueError("it holds no JSON object")
            yield Annotation(name, content)
        except (OSError, ValueError):
            yield Annotation(name, None)


def of_attributes(attributes: Iterable[Any], name: str, picture: str, where: str) -> Annotation:
    """Return the annotation of a picture from the values of a manifest's attributes.

    Raises DataError, which tells `where`, unless one of them has annotations.
    """
    values = [value for value in attributes if isinstance(value, dict)]
    boxes = [value for value in values if isinstance(value.get("annotations"), list)]
    if len(boxes) != 1:
        many = "no attribute" if not boxes else "several attributes"
        raise DataError(f"{where} has {many} with annotations: name source-ref and the one with "
                        f"the boxes in AttributeNames")
    maps = [value["class-map"] for value in values if isinstance(value.get("class-map"), dict)]
    categories = [{"class_id": number, "name": text}
                  for names in maps for number, text in names.items()]
    return Annotation(name, {"file": picture, "image_size": boxes[0].get("image_size"),
                             "annotations": boxes[0]["annotations"], "categories": categories})


def class_names(annotations: Iterable[Annotation], count: int) -> tuple[str, ...]:
    """Return the names of so many classes: those that files give, else `default_names`.

    Raises DataError where a class has a number that there is not, or two names, or two classes
    have one.
    """
    names: dict[int, str] = {}
    for annotation in annotations:
        content = annotation.content or {}
        for entry in _dicts(content.get("annotations")):
            _check(whole(entry.get("class_id")), count, annotation.name)
        for entry in _dicts(content.get("categories")):
            number, name = whole(entry.get("class_id")), str(entry.get("name") or "").strip()
            if number is None or not name:
                continue
            _check(number, count, annotation.name)
            if names.setdefault(number, name) != name:
                raise DataError(f"{annotation.name} calls class {number} {name!r}, and others call "
                                f"it {names[number]!r}: give it one name in all annotations")
    for number, name in names.items():
        others = [other for other in names if names[other] == name and other != number]
        if others:
            raise DataError(f"the classes {number} and {others[0]} are both called {name!r}: give "
                            f"each a name of its own")
    return tuple(names.get(number, default) for number, default in enumerate(default_names(count)))


def default_names(count: int) -> tuple[str, ...]:
    """Return what classes are called that nobody has named."""
    return tuple(f"class{number}" for number in range(count))


def write_annotations(annotations: Iterable[Annotation], names: Sequence[str], folder: Path
                      ) -> None:
    """Write annotations with the names of all classes.

    One that cannot be read becomes an empty file, so that reading the data complains of it.
    """
    categories = [{"class_id": number, "name": name} for number, name in enumerate(names)]
    for annotation in annotations:
        file = folder / annotation.name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "" if annotation.content is None else json.dumps(
            {**annotation.content, "categories": categories})
        file.write_text(text, encoding="utf-8")


def _check(number: int | None, count: int, where: str) -> None:
    if number is not None and not 0 <= number < count:
        raise DataError(f"{where} has the class_id {number}, and num_classes is {count}: class_ids "
                        f"count from 0, so the last one is {count - 1}")


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
