"""A packed data set: a RecordIO file, its class names, and the side-car that keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import attrs
from attrs import field, frozen
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import as_path, as_text

from ssdreg.data import issues as kinds
from ssdreg.data.background import is_background
from ssdreg.data.issues import DataIssue
from ssdreg.data.recordio import RecordIndex, index_records
from ssdreg.data.shards import files_of, is_list, names_of
from ssdreg.data.text import read_names
from ssdreg.errors import DataError


@frozen
class Packed:
    """Images and boxes in one RecordIO file, as ``ImageDetRecordIter`` reads them.

    `label_width` is the length in floats of the widest record label with its header,
    `max_objects` the most objects in one image, `objects` the objects in all. `negatives` counts
    the images without any object, whose anchors are all background in training. `idx` is ``None``
    when a file that was not packed here has no index beside it; nothing here needs one.
    """

    rec: Path
    idx: Path | None
    classes: tuple[str, ...]
    images: int
    objects: int
    label_width: int
    max_objects: int
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)
    negatives: int = 0


def open_rec(path: str | os.PathLike[str], classes: Sequence[str] | None = None) -> Packed:
    """Open a ``.rec`` file with detection labels, packed here or by MXNet's im2rec.

    Reads the labels of all records but decodes no image. Class names are `classes`, else those of
    the side-car ``.json`` that packing here leaves, else the lines of ``<name>.names`` or of
    ``classes.txt`` beside the file, else ``class0``, ``class1`` and so on.

    A background in front of the names is left out, or kept where the labels count it, and said.

    Raises `DataError` when the file is missing, is not RecordIO, ends early, holds labels that are
    not detection labels in 0 to 1, uses more classes than there are names, or has other names
    than `classes`.
    """
    path = Path(path)
    index = index_records(path)
    names, issues = _find_names(path)
    names, complaints = _without_background(path, names, index)
    issues += complaints
    if classes is not None:
        used = index.class_count
        if names is not None and names[:used] != tuple(classes)[:used]:
            raise DataError(f"{path}: its classes are {', '.join(names)}, not "
                            f"{', '.join(classes)}; pack it again with those")
        names = tuple(classes)
    if names is None:
        names = tuple(f"class{number}" for number in range(index.class_count))
    if len(names) + 1 == index.class_count and index.least_class > 0:
        raise DataError(f"{path}: no object is of class 0 and the last one is of class "
                        f"{index.class_count - 1}, as if the background were counted as class 0, "
                        f"but there are {len(names)} class names ({', '.join(names)}): pack it "
                        f"again with classes from 0, or put a line `background` in front of the "
                        f"names, which keeps class 0 as one without objects")
    if len(names) < index.class_count:
        raise DataError(f"{path}: the labels use {index.class_count} classes but there are "
                        f"{len(names)} class names ({', '.join(names)}); name them all")
    idx = path.with_suffix(".idx")
    return Packed(rec=path, idx=idx if idx.is_file() else None, classes=names,
                  images=len(index.objects), objects=int(index.objects.sum()),
                  label_width=index.label_width, max_objects=index.max_objects,
                  issues=issues, negatives=int(index.negative.sum()))


def _without_background(rec: Path, names: tuple[str, ...] | None, index: RecordIndex
                        ) -> tuple[tuple[str, ...] | None, tuple[DataIssue, ...]]:
    """Leave the background out of the names, unless the labels count it too.

    Labels that count it have no object of class 0; they can only be packed anew.
    """
    if names is None or not names or not is_background(names[0]):
        return names, ()
    if index.least_class > 0:
        return names, (DataIssue(rec, kinds.BACKGROUND,
                                 f"class 0 is {names[0]!r}, of which there is no object: it stays "
                                 f"a class, because the labels count from it; to be rid of it, "
                                 f"pack again with classes from 0"),)
    if index.class_count >= len(names):
        raise DataError(f"{rec}: the first of its {len(names)} class names is {names[0]!r}, but "
                        f"there are objects of class 0 and of class {index.class_count - 1}: the "
                        f"background is not annotated; name all {index.class_count} classes")
    return names[1:], (DataIssue(rec, kinds.BACKGROUND,
                                 f"{names[0]!r} is no class: the labels do not count the "
                                 f"background; left out of the class names"),)


def _find_names(rec: Path) -> tuple[tuple[str, ...] | None, tuple[DataIssue, ...]]:
    if is_list(rec):
        issues = [issue for file in files_of(rec) for issue in issues_of(file)]
        return names_of(rec), tuple(dict.fromkeys(issues))
    sidecar = rec.with_suffix(".json")
    if sidecar.is_file():
        return _read_sidecar(sidecar)
    for file in (rec.with_suffix(".names"), rec.with_name("classes.txt")):
        if file.is_file():
            return read_names(file), ()
    return None, ()


def issues_of(shard: Path) -> tuple[DataIssue, ...]:
    """Return what was wrong with a shard's images when they were packed."""
    sidecar = shard.with_suffix(".json")
    return _read_sidecar(sidecar)[1] if sidecar.is_file() else ()


def _read_sidecar(file: Path) -> tuple[tuple[str, ...], tuple[DataIssue, ...]]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        classes = stored["classes"]
        if (not isinstance(classes, list) or not classes or len(set(classes)) != len(classes)
                or not all(isinstance(name, str) and name for name in classes)):
            raise ValueError("classes is no list of names, each of which stands once")
        return tuple(classes), tuple(map(_issue, stored["issues"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: this is not what packing wrote ({error!r}); delete it and pack "
                        f"again") from error


def _issue(entry: dict[str, str]) -> DataIssue:
    words = [entry[key] for key in ("file", "kind", "detail", "object", "action")]
    if not all(isinstance(word, str) for word in words):
        raise ValueError("an issue holds what is no text")
    return DataIssue(as_path(words[0]), *words[1:])


def is_whole(rec: Path, digest: str) -> bool:
    """Tell whether a file was packed of what has this digest, and has not lost or won bytes."""
    file = rec.with_suffix(".json")
    if not (file.is_file() and rec.is_file()):
        return False
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return (stored.get("digest"), stored.get("bytes")) == (digest, rec.stat().st_size)
    except (ValueError, AttributeError, RecursionError):
        return False  # it is packed again


def write_sidecar(packed: Packed, digest: str = "") -> Path:
    """Write what is known of `packed` to the ``.json`` beside its ``.rec``; return that path.

    Where the file lies is left out: it may be moved, with its side-car. `digest` is of what was
    packed.
    """
    fields = attrs.asdict(packed, value_serializer=lambda _object, _field, value:
                          as_text(value) if isinstance(value, Path) else value,
                          filter=lambda attribute, _value: attribute.name not in ("rec", "idx"))
    file = packed.rec.with_suffix(".json")
    with replacing(file) as beside:
        beside.write_text(json.dumps({**fields, "digest": digest,
                                      "bytes": packed.rec.stat().st_size}, indent=1),
                          encoding="utf-8")
    return file
