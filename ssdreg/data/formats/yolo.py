"""YOLO: a text file a picture, with a class and a box as shares of the picture in every line.

As Ultralytics, Darknet, CVAT and Roboflow write it: classes and splits are in ``data.yaml``, or in
``classes.txt`` or ``obj.names`` and folders; ``images/`` lies beside ``labels/``, or the text files
beside the pictures. Those programs turn photos upright, so boxes are on the upright picture. An
empty file says that there is nothing in its picture. Lines with more points than a box has are
outlines, and the box around them is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import field, frozen
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    CENTER_SHARES,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    count_labels,
    enclosing,
)
from ssdreg.data.contents import (
    Contents,
    is_absolute,
    is_picture,
    list_contents,
    refuse_unknown_split,
    split_of,
)
from ssdreg.data.formats.yolo_yaml import DataYaml, find_yaml, has_yaml, names_alone
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import whole
from ssdreg.data.text import read_lines, read_names
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE

#: Bytes of one annotation: a hundred thousand outlines.
MAX_LABELS = 2**28
_IMAGES, _LABELS = "images", "labels"
#: Text files that are no annotations.
_OTHERS = ("classes.txt", "labels.txt", "train.txt", "val.txt", "valid.txt", "test.txt",
           "readme.txt", "readme.roboflow.txt", "readme.dataset.txt", "requirements.txt",
           "notes.txt")


@frozen
class _Layout:
    """The pictures of each split, and the classes with the file that names them."""

    root: Path
    splits: dict[str, tuple[Path, ...]] = field(repr=False)
    names: dict[int, str] | None
    declared: Path | None
    #: Numbers behind a box in each line, of key points.
    behind: int = 0
    #: Splits that data.yaml names and whose pictures are not there, and what is to be said of it.
    absent: dict[str, str] = field(factory=dict)


def recognize(contents: Contents) -> int:
    """Tell whether there is a data.yaml, or text files of numbers beside pictures."""
    if has_yaml(contents):
        return CERTAIN
    if not contents.root.is_dir():
        return NO
    pictures = {as_text(file.stem) for file in contents.files
                if file.suffix.lower() not in (".txt", ".xml", ".json", ".csv")}
    texts = [file for file in contents.with_suffix(".txt")
             if file.name.lower() not in _OTHERS and as_text(file.stem) in pictures]
    return POSSIBLE if any(map(_is_labels, texts[:50])) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that data.yaml names, else the folders or lists of those names."""
    return tuple(sorted(name for name in _layout(root).splits if name))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read a split, or all.

    Raises `DataError` when there is no such split, or data.yaml is damaged or names folders that
    are not there.
    """
    layout = _layout(root)
    if split in layout.absent or (layout.absent and not layout.splits):
        raise DataError(layout.absent.get(split or "", next(iter(layout.absent.values()))))
    if split not in layout.splits:
        refuse_unknown_split(root, split, layout.splits)
    pictures: list[AnnotatedPicture] = []
    others: list[AnnotatedPicture] = []
    issues: list[DataIssue] = []
    for name, images in layout.splits.items():
        inside = split in (None, name)
        for image in images:
            picture = _picture(image, layout)
            if isinstance(picture, AnnotatedPicture):
                (pictures if inside else others).append(picture)
            elif inside:
                issues.append(picture)
    # a picture in several splits is one picture where all are read
    pictures = list(dict.fromkeys(pictures))
    labels = count_labels([*pictures, *others])
    classes = None
    if layout.names is not None:
        _refuse_from_one(root, layout.names, labels)
        classes = tuple(layout.names[place] for place in sorted(layout.names))
    elif labels:
        classes = tuple(sorted(labels, key=lambda label: int(label.removeprefix("class"))))
    return AnnotatedSet(root, split or "all", tuple(pictures), labels, classes, layout.declared,
                        tuple(others), tuple(issues))


def _refuse_from_one(root: Path, names: dict[int, str], labels: dict[str, int]) -> None:
    """Refuse labels that count classes from 1: every object would be of the wrong class."""
    if f"class {len(names)}" in labels and names.get(0) not in labels and len(names) > 1 and all(
            name in names.values() or name == f"class {len(names)}" for name in labels):
        raise DataError(f"{root}: no object is of class 0 and some are of class {len(names)}, as "
                        f"if classes were counted from 1, but there are {len(names)} names: count "
                        f"them from 0, or put a name in front")


def _is_labels(file: Path) -> bool:
    try:
        lines = read_lines(file, MAX_LABELS)
        return bool(lines) and all(len(_object(line, 1, None, 0).numbers) == 4
                                   for line in lines[:20])
    except (ValueError, OSError):
        return False


def _layout(root: Path) -> _Layout:
    declared = find_yaml(root)
    if declared is not None:
        folder = root if root.is_dir() else root.parent
        splits: dict[str, tuple[Path, ...]] = {}
        absent = {}
        for name, values in declared.splits.items():
            missing = [value for value in values if declared.place(value) is None]
            if missing:
                absent[name] = (f"{declared.file}: {name}: {missing[0]} is not there, neither from "
                                f"the file's folder nor from its path; put it right")
            else:
                splits[name] = _listed(declared, values)
        return _Layout(folder, splits, declared.names, declared.file, declared.behind, absent)
    contents = list_contents(root)
    names, file = _names(contents)
    images = [image for image in contents.files if is_picture(image)]
    by_folder: dict[str, list[Path]] = {}
    for image in images:
        by_folder.setdefault(split_of(image, root), []).append(image)
    lists = {listed.stem: listed for listed in contents.with_suffix(".txt")
             if listed.name.lower() in ("train.txt", "val.txt", "valid.txt", "test.txt")}
    if set(by_folder) == {""} and lists:
        return _Layout(root, {name: _from_list(listed, root) for name, listed in lists.items()},
                       names, file)
    return _Layout(root, {name: tuple(inside) for name, inside in by_folder.items()}, names, file)


def _names(contents: Contents) -> tuple[dict[int, str] | None, Path | None]:
    for file in contents.files:
        if file.name.lower() == "classes.txt" or file.suffix == ".names":
            return dict(enumerate(read_names(file))), file
    return names_alone(contents)


def _listed(declared: DataYaml, values: Sequence[str]) -> tuple[Path, ...]:
    """Return the pictures of a split in data.yaml: folders, lists, or several of them."""
    images: list[Path] = []
    for value in values:
        place = declared.place(value)
        if place is None:
            continue
        if place.is_dir():
            images += [file for file in list_contents(place).files if is_picture(file)]
        elif is_picture(place):
            images.append(place)
        else:
            images += _from_list(place, declared.file.parent)
    return tuple(dict.fromkeys(images))


def _from_list(file: Path, base: Path) -> tuple[Path, ...]:
    """Return the pictures that a list names: from its own folder, or from that of the data set.

    Those that are not there are given all the same, and complained of when they are opened.
    """
    try:
        lines = read_lines(file, MAX_LABELS)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    images = []
    for line in lines:
        name = line.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in (".", "")]
        tails = [Path(*parts[start:]) for start in range(len(parts))]
        places = [folder / tail for tail in tails
                  for folder in dict.fromkeys((file.parent, base, base.parent))]
        # a relative name is meant from the list's folder, not from where somebody works
        places.insert(0 if is_absolute(name) else len(places), Path(name))
        images.append(next((place for place in places if place.is_file()), file.parent / name))
    return tuple(images)


def _picture(image: Path, layout: _Layout) -> AnnotatedPicture | DataIssue:
    if not image.is_file():
        return DataIssue(image, kinds.MISSING_IMAGE, "a list names it, and it is not there; left "
                                                     "out")
    file = next((place for place in _label_files(image) if place.is_file()), None)
    if file is None:
        return DataIssue(image, kinds.MISSING_ANNOTATION,
                         f"there is no {image.stem}.txt in {_LABELS} or beside it; left out: an "
                         f"empty file says that there is nothing in it")
    try:
        lines = read_lines(file, MAX_LABELS)
        objects = tuple(_object(line, place, layout.names, layout.behind)
                        for place, line in enumerate(lines, start=1))
    except (ValueError, OSError) as error:
        return DataIssue(file, kinds.UNREADABLE_ANNOTATION, f"{error}; image left out")
    return AnnotatedPicture(image, file, objects, None, CENTER_SHARES, upright=True)


def _label_files(image: Path) -> Iterator[Path]:
    """Give the places where a picture's annotation may be, the surest first."""
    parts = image.parts
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == _IMAGES:
            labels = _LABELS if parts[place].islower() else _LABELS.capitalize()
            yield Path(*parts[:place], labels, *parts[place + 1:]).with_suffix(".txt")
            break
    yield image.with_suffix(".txt")
    yield image.parent / _LABELS / f"{image.stem}.txt"
    # labels/ beside a folder of pictures that is called otherwise
    yield image.parent.parent / _LABELS / f"{image.stem}.txt"
    yield image.parent.parent / _LABELS / image.parent.name / f"{image.stem}.txt"


def _object(line: str, place: int, names: dict[int, str] | None, behind: int) -> AnnotatedObject:
    """Read a line. Raises ValueError, a sentence that names it."""
    words = line.split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"line {place} is no row of numbers: {line[:60]!r}") from None
    category = whole(values[0]) if values else None
    if category is None or category < 0:
        raise ValueError(f"line {place} begins with {words[0]}, which is no number of a class")
    label = f"class{category}" if names is None else names.get(category, f"class {category}")
    numbers = values[1:]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"line {place} has numbers that are none")
    if len(numbers) in (4, 5, 4 + behind):  # the fifth is a score, or there are key points
        return AnnotatedObject(place, label, (numbers[0], numbers[1], numbers[2], numbers[3]))
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        return AnnotatedObject(place, label, enclosing(list(zip(numbers[::2], numbers[1::2]))),
                               outline="outline")
    raise ValueError(f"line {place} has {len(words)} numbers: a class and a box are 5, a class and "
                     f"an outline 7 or more, always odd")
