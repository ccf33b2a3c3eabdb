"""Data sets in PASCAL VOC layout: JPEGImages/, Annotations/*.xml and ImageSets/Main/*.txt.

The layout is that of Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge".
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen
from PIL import Image
from ssdreg_runtime.system.files import visible
from ssdreg_runtime.system.names import as_path, as_text
from ssdreg_runtime.system.xml_file import read_xml

from ssdreg.data import issues as kinds
from ssdreg.data.background import is_background, without_background
from ssdreg.data.issues import DataIssue
from ssdreg.errors import DataError

#: The name that stands for "every annotation of the folder".
ALL = "all"
#: Bytes of one annotation: a hundred thousand objects.
MAX_ANNOTATION = 32 * 2**20
#: Bytes of a file of class names.
MAX_NAMES = 2**20


@frozen
class Box:
    """A labelled box: its edges in pixels, 0 at the left and top edge of the image."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    difficult: bool = False


@frozen
class Sample:
    """An image file, its size in pixels, and its boxes (none for a background image)."""

    image: Path
    width: int
    height: int
    boxes: tuple[Box, ...] = ()


@frozen
class Dataset:
    """One split of a folder: usable samples in the order of the split, and what was left out."""

    root: Path
    split: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...] = field(repr=False)
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)


@frozen
class _Object:
    """An object as annotated: VOC pixels, which count from 1 and include the last one."""

    label: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool


def available_splits(root: str | os.PathLike[str]) -> tuple[str, ...]:
    """The sorted names of the split files in ``ImageSets/Main``; empty when there are none."""
    folder = Path(root) / "ImageSets" / "Main"
    return tuple(sorted(file.stem for file in (visible(folder) if folder.is_dir() else ())
                        if file.suffix == ".txt"))


def read_voc(root: str | os.PathLike[str], split: str | None = None,
             classes: Sequence[str] | None = None) -> Dataset:
    """Read a folder in PASCAL VOC layout.

    `split` names ``ImageSets/Main/<split>.txt``; ``None``, or "all" where no file is called so,
    takes every annotation, by name. `classes` fixes the classes and their order, and boxes of
    others become problems, as those of the background do, which is no class. ``None`` takes the
    lines of ``classes.txt`` or ``labels.txt`` in `root`, else the sorted names in all annotations
    of the folder, so that all splits agree.

    VOC counts pixels from 1 and includes the last, so a box covers ``xmin - 1`` to ``xmax`` in
    the edges of `Box`. Many tools count from 0 instead: an ``xmin`` of 0 is taken as the edge.
    Sizes come from the image files, as stored (an EXIF orientation is not applied).

    Hidden files, whose names begin with a dot, are passed over in all three folders.

    Raises `DataError` when the folder or split is missing, the layout is another, or no sample
    has a usable box. Whatever else is wrong is in `Dataset.issues`.
    """
    root = Path(root)
    _check_layout(root)
    if split == ALL and ALL not in available_splits(root):
        split = None
    annotations = {as_text(file.stem): file for file in visible(root / "Annotations")
                   if file.suffix == ".xml"}
    images = {as_text(file.stem): file for file in visible(root / "JPEGImages")
              if file.is_file()}
    wanted = tuple(annotations) if split is None else _read_split(root, split, annotations)
    parsed, issues = _parse_all(annotations, root, wanted)
    if classes is not None:
        names, background = tuple(classes), without_background(classes)[1]
        issues += [DataIssue(root, kinds.BACKGROUND,
                             f"{background!r} is among the classes that are asked for, and stays "
                             f"one of them; the background itself is not counted as a class")
                   ] if background else []
    else:
        names, complaints = _find_classes(root, parsed)
        issues += complaints
    _check_classes(names, root)
    samples = []
    for name in wanted:
        if name not in annotations:
            file = root / "Annotations" / as_path(f"{name}.xml")
            issues.append(DataIssue(file, kinds.MISSING_ANNOTATION, "left out"))
        elif name not in images:
            issues.append(DataIssue(annotations[name], kinds.MISSING_IMAGE,
                                    f"JPEGImages has no file called {name}.*; left out"))
        elif name in parsed:
            sample, complaints = _sample(images[name], annotations[name], parsed[name], names)
            samples += [sample] if sample else []
            issues += complaints
    dataset = Dataset(root, split or ALL, names, tuple(samples), tuple(issues))
    if not any(sample.boxes for sample in samples):
        raise DataError(f"{root}: split {dataset.split!r} has no image with a usable box, so there "
                        f"is nothing to learn from; mend the annotations first\n"
                        f"{kinds.describe_issues(issues)}")
    return dataset


def _check_layout(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder of a data set in PASCAL "
                        f"VOC layout, or a .rec file")
    missing = [name for name in ("JPEGImages", "Annotations") if not (root / name).is_dir()]
    if missing:
        raise DataError(f"{root}: this is not a data set in PASCAL VOC layout: it has no folder "
                        f"{' and no folder '.join(missing)}")


def _read_split(root: Path, split: str, annotations: Mapping[str, Path]) -> tuple[str, ...]:
    file = root / "ImageSets" / "Main" / f"{split}.txt"
    if not file.is_file():
        found = ", ".join(available_splits(root)) or "none"
        raise DataError(f"{file}: there is no such split; the splits here are: {found}")
    names = []
    # names of files are bytes, and need not be letters
    for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        entry = line.strip()
        if entry:
            # the per-class lists of VOC carry a second column; a name with a space has none
            names.append(entry if entry in annotations else entry.split()[0])
    return tuple(dict.fromkeys(names))


def _parse_all(annotations: Mapping[str, Path], root: Path, wanted: Sequence[str]
               ) -> tuple[dict[str, tuple[_Object, ...]], list[DataIssue]]:
    """Parse every annotation of the folder; complain only about those of the split."""
    parsed, issues, asked = {}, [], set(wanted)
    for name, file in annotations.items():
        try:
            parsed[name] = _parse(file)
        except (ValueError, OSError) as error:
            if name in asked:
                issues.append(DataIssue(file, kinds.UNREADABLE_ANNOTATION,
                                        f"{error}; image left out"))
    return parsed, issues


def _parse(file: Path) -> tuple[_Object, ...]:
    objects = []
    for number, node in enumerate(read_xml(file, MAX_ANNOTATION).iter("object"), start=1):
        label = (node.findtext("name") or "").strip()
        if not label:
            raise ValueError(f"object {number} has no name")
        edges = []
        for edge in ("xmin", "ymin", "xmax", "ymax"):
            text = node.findtext(f"bndbox/{edge}")
            if text is None or not math.isfinite(float(text)):
                raise ValueError(f"object {number} ({label}) has no usable {edge}")
            edges.append(float(text))
        difficult = (node.findtext("difficult") or "0").strip() == "1"
        left, top, right, bottom = edges
        objects.append(_Object(label, left, top, right, bottom, difficult))
    return tuple(objects)


def _find_classes(root: Path, parsed: Mapping[str, tuple[_Object, ...]]
                  ) -> tuple[tuple[str, ...], list[DataIssue]]:
    """Return the classes; the background is none, and naming it is a problem."""
    for name in ("classes.txt", "labels.txt"):
        if (root / name).is_file():
            kept, background = without_background(read_names(root / name))
            return kept, [DataIssue(root / name, kinds.BACKGROUND,
                                    f"{background!r} is no class: the background is not counted; "
                                    f"left out, as a file without that line would have it")
                          ] if background else []
    labels = {item.label for objects in parsed.values() for item in objects}
    return without_background(sorted(labels))[0], []


def read_names(file: Path) -> tuple[str, ...]:
    """The class names in a text file, one a line, blank lines skipped.

    Raises DataError for a file that is not UTF-8, or too large.
    """
    if file.stat().st_size > MAX_NAMES:
        raise DataError(f"{file} has {file.stat().st_size:,} bytes: no list of class names is that "
                        f"large")
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not text in UTF-8 ({error.reason} at byte {error.start}): "
                        f"save it anew in that encoding") from error
    return tuple(line for line in lines if line)


def _check_classes(classes: Sequence[str], root: Path) -> None:
    if not classes:
        raise DataError(f"{root}: no annotation names an object, so there are no classes")
    if len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise DataError(f"{root}: these class names are given more than once: {', '.join(twice)}")


def _sample(image: Path, annotation: Path, objects: Sequence[_Object], classes: Sequence[str]
            ) -> tuple[Sample | None, list[DataIssue]]:
    try:
        with Image.open(image) as opened:
            width, height = opened.size
    except (OSError, Image.DecompressionBombError) as error:
        return None, [DataIssue(image, kinds.UNREADABLE_IMAGE, f"{error}; left out")]
    boxes, issues = [], []
    for number, item in enumerate(objects, start=1):
        box, complaint = _box(item, width, height, classes)
        boxes += [box] if box else []
        if complaint:
            kind, detail = complaint
            issues.append(DataIssue(annotation, kind, f"object {number} ({item.label}): {detail}"))
    if not boxes:
        issues.append(DataIssue(image, kinds.NO_OBJECT,
                                "no usable box: left out of training, kept for evaluation"))
    return Sample(image, width, height, tuple(boxes)), issues


def _box(item: _Object, width: int, height: int, classes: Sequence[str]
         ) -> tuple[Box | None, tuple[str, str] | None]:
    """The object as a box inside the image, and what had to be said about it."""
    edges = f"{item.xmin:g},{item.ymin:g},{item.xmax:g},{item.ymax:g}"
    if item.label not in classes and is_background(item.label):
        return None, (kinds.BACKGROUND, "the background is not annotated, it is what no box "
                                        "covers; left out (call it something else to keep it)")
    if item.label not in classes:
        return None, (kinds.UNKNOWN_CLASS, "not one of the classes asked for; left out")
    if item.xmax <= item.xmin or item.ymax <= item.ymin:
        return None, (kinds.EMPTY_BOX, f"{edges} encloses nothing; left out")
    x1, y1 = max(item.xmin - 1, 0.0), max(item.ymin - 1, 0.0)
    x2, y2 = min(item.xmax, float(width)), min(item.ymax, float(height))
    where = f"{edges} in an image of {width}x{height}"
    if x2 <= x1 or y2 <= y1:
        return None, (kinds.BOX_OUTSIDE, f"{where}; left out")
    box = Box(item.label, x1, y1, x2, y2, item.difficult)
    if item.xmin < 0 or item.ymin < 0 or item.xmax > width or item.ymax > height:
        return box, (kinds.BOX_OUTSIDE, f"{where}; clipped")
    return box, None
