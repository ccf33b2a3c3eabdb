"""Data sets of any format, recognised by looking, and read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from ssdreg.data.agreement import agree
from ssdreg.data.annotation import AnnotatedSet
from ssdreg.data.contents import Contents, list_contents
from ssdreg.data.dataset import ALL, Dataset
from ssdreg.errors import DataError, PluginError, SsdregError, UnknownNameError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE, DataFormat
from ssdreg.registry.host import BUILT_IN
from ssdreg.registry.issues import PluginIssue, describe_error
from ssdreg.registry.names import get_data_format, list_data_formats, registry


@frozen
class NamedFormat:
    """A format that a data set is read in, and the columns of its table, where they are named."""

    format: DataFormat
    columns: tuple[str, ...] = ()


def parse_format(text: str) -> NamedFormat:
    """Read ``coco``, or ``csv:image,x1,y1,x2,y2,label`` with the columns of a table.

    A name may have its distribution in front, as ``some-reader:kitti``. Raises DataError for a name
    that no format has.
    """
    name, _, columns = text.rpartition(":")
    if not name or "," not in columns:
        return NamedFormat(_format(text))
    return NamedFormat(_format(name), tuple(column.strip() for column in columns.split(",")
                                            if column.strip()))


def _format(name: str) -> DataFormat:
    try:
        return get_data_format(name)
    except UnknownNameError as error:
        names = ", ".join(format.name for format in list_data_formats())
        raise DataError(f"no format of data sets is called {name!r}: there are {names}; more come "
                        f"from plug-ins") from error


def recognize(path: Path) -> DataFormat:
    """Return the format of a data set, a folder or file.

    Raises DataError when there is none, when it is in no format that is known, and when it may be
    in several.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file; give a data set of any format "
                        f"that is known, or a .rec file")
    contents = list_contents(path)
    formats = list_data_formats()
    certainties = {format.name: certainty(format, contents) for format in formats}
    most = max(certainties.values())
    candidates = [format for format in formats if certainties[format.name] == most]
    if most == NO:
        others = ", ".join(format.name for format in formats if format.name != "voc")
        raise DataError(f"{path}: this is not a data set in PASCAL VOC layout, and in none of the "
                        f"other formats ({others}): no annotation was found that is known, among "
                        f"{len(contents.files)} files; --format names a format")
    if len(candidates) > 1:
        how = "is laid out as" if most == CERTAIN else "may be"
        names = " and ".join(format.name for format in candidates)
        raise DataError(f"{path} {how} {names}: say by --format which one is meant")
    return candidates[0]


def certainty(format: DataFormat, contents: Contents) -> int:
    """Ask a format whether a data set is its own; one that fails does not take others down."""
    try:
        answer = format.certainty(contents)
        if answer not in (NO, POSSIBLE, CERTAIN):
            raise ValueError(f"{answer} is neither NO, POSSIBLE nor CERTAIN")
        return answer
    except Exception as error:  # a stranger's function may raise anything
        plugin = registry().data_format.plugins[format.name]
        if isinstance(error, SsdregError) and plugin.partition(":")[0] == BUILT_IN:
            raise  # a sentence of ssdreg's own
        PluginIssue(plugin, f"failed when its format {format.name!r} was to recognise "
                            f"{contents.root}: {describe_error(error)}", error).warn("")
        return NO


def _splits(format: DataFormat, path: Path) -> tuple[str, ...]:
    """Return a data set's own splits; what a plug-in raises beside sentences is its fault."""
    try:
        return format.splits_of(path)
    except SsdregError:
        raise
    except Exception as error:  # a stranger's function may raise anything
        raise PluginError(f"the format {format.name!r} could not list the splits of {path}: "
                          f"{describe_error(error)}") from error


def _annotated(named: NamedFormat, path: Path, split: str | None) -> AnnotatedSet:
    """Read a split; what a plug-in's reader raises beside its sentences is that plug-in's fault."""
    format = named.format
    try:
        annotated = format.read_from(path, split, named.columns)
    except SsdregError:
        raise
    except Exception as error:  # a stranger's function may raise anything
        raise PluginError(f"the format {format.name!r} could not read {path}: "
                          f"{describe_error(error)}") from error
    if not isinstance(annotated, AnnotatedSet):
        raise PluginError(f"the format {format.name!r} gave {type(annotated).__name__} for {path}, "
                          f"which is no AnnotatedSet")
    return annotated


def format_of(path: Path, format: str | None) -> NamedFormat:
    """Return the format that is asked for, else the one that is recognised."""
    return NamedFormat(recognize(path)) if format is None else parse_format(format)


def available_splits(path: str | os.PathLike[str], format: str | None = None) -> tuple[str, ...]:
    """The sorted names of the splits that a data set has itself; empty when there are none."""
    path = Path(path)
    return _splits(format_of(path, format).format, path) if path.exists() else ()


def read_dataset(path: str | os.PathLike[str], split: str | None = None,
                 classes: Sequence[str] | None = None, format: str | None = None) -> Dataset:
    """Read a data set of any format, and hold it against its pictures.

    `split` is one of its own splits; ``None``, or "all" where no split is called so, takes every
    picture. `classes` fixes the classes and their order, and boxes of others become problems.
    `format` is the name of a format, by default the one that is recognised. Raises `DataError` as
    `recognize` and `agree` do, and when the split is missing.
    """
    return agree(annotated_set(path, split, format), classes)


def annotated_set(path: str | os.PathLike[str], split: str | None = None,
                  format: str | None = None) -> AnnotatedSet:
    """Return what a data set's files say, as written, and not held against any picture.

    Arguments and errors are those of `read_dataset`.
    """
    path = Path(path)
    named = format_of(path, format)
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file")
    if split == ALL and ALL not in _splits(named.format, path):
        split = None
    return _annotated(named, path, split)


def read_voc(root: str | os.PathLike[str], split: str | None = None,
             classes: Sequence[str] | None = None) -> Dataset:
    """Read a folder in PASCAL VOC layout; see `ssdreg.data.formats.voc` and `read_dataset`."""
    return read_dataset(root, split, classes, "voc")
