"""Which images train and which validate, when that is not said image by image."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import attrs
from attrs import frozen
from ssdreg_runtime.system.names import as_path, as_text, shown

from ssdreg.data.dataset import ALL, Dataset, Sample
from ssdreg.data.issues import LEFT_OUT, describe_issues
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.packing import pack
from ssdreg.data.proof import proved
from ssdreg.data.reading import available_splits, read_dataset
from ssdreg.data.shards import is_packed
from ssdreg.data.twice import said_twice
from ssdreg.errors import DataError
from ssdreg.progress import Progress

#: The split of a folder that has no splits of its own: a tenth of the images, by name.
HELD_OUT = "held-out"
HELD_OUT_SHARE = 0.1

#: Pairs of split names for training and validation, the first one that a data set has counts.
USUAL_PAIRS = (("train", "val"), ("trainval", "test"), ("train", "test"))
#: Other words for those.
_ROLES = {"training": "train", "valid": "val", "validation": "val", "dev": "val",
          "testing": "test", "eval": "val"}
#: COCO puts a year behind the word.
_YEAR = re.compile(r"[-_]?(?:19|20)\d\d$")


@frozen(kw_only=True)
class DataSpec:
    """The data a run trains and validates on, as it was given: paths and names of splits.

    Paths are text here, see `ssdreg_runtime.system.names.as_text`, so that they can be written
    down. `format` is that of `train`, and of what is validated on, where it was named; see
    `ssdreg.data.reading.parse_format`.
    """

    train: str
    # Optional, because Python 3.9 cannot evaluate the other spelling, and cattrs does
    train_split: Optional[str] = None  # noqa: UP045
    validation: Optional[str] = None  # noqa: UP045
    validation_split: Optional[str] = None  # noqa: UP045
    format: Optional[str] = None  # noqa: UP045


def choose(train: Path, train_split: str | None = None, validation: Path | None = None,
           validation_split: str | None = None, format: str | None = None) -> DataSpec:
    """Fill in what was not given, from the splits a data set has.

    Without a name for either split, the usual pairs are looked for; a data set without them
    validates on a tenth of its images, chosen by name; `ALL` names all images of a folder. A
    ``.rec`` file is one split, and validates only on what is given. Paths are made absolute, so
    that a run finds its data from any folder.

    Raises DataError when a split is named that could only be passed over, or when images would
    train and validate at once because only the split to validate on is named.
    """
    _refuse_splits_of_files(train, train_split, "--split")
    _refuse_splits_of_files(validation or train, validation_split, "--val-split")
    if not is_packed(train) and validation in (None, train):
        validation = train
        have = available_splits(train, format)
        pair = usual_pair(have, train_split, validation_split)
        if pair is not None and None in (train_split, validation_split):
            train_split, validation_split = pair
        elif validation_split is None:
            validation_split = HELD_OUT
        elif train_split is None:
            raise DataError(f"{train}: say by --split what to train on besides the split "
                            f"{validation_split!r}; the splits here are: "
                            f"{', '.join(have) or 'none'}")
    return DataSpec(train=as_text(train.absolute()), train_split=train_split,
                    validation=as_text(validation.absolute()) if validation else None,
                    validation_split=validation_split, format=format)


def usual_pair(have: Sequence[str], train: str | None = None,
               validation: str | None = None) -> tuple[str, str] | None:
    """Return the first of the `USUAL_PAIRS` that splits make and that agrees with those named.

    Other words for the same, as valid, and a year behind them, as train2017, count as well; two
    splits that would be the same are not chosen between.
    """
    roles: dict[str, list[str]] = {}
    for name in have:
        word = _YEAR.sub("", name.lower())
        roles.setdefault(_ROLES.get(word, word), []).append(name)
    called = {role: role if role in names else names[0] for role, names in roles.items()
              if role in names or len(names) == 1}
    pairs = [(called[left], called[right]) for left, right in USUAL_PAIRS
             if left in called and right in called]
    return next((pair for pair in pairs
                 if train in (None, pair[0]) and validation in (None, pair[1])), None)


def _refuse_splits_of_files(path: Path, split: str | None, option: str) -> None:
    if split is not None and is_packed(path):
        raise DataError(f"{path} is one split already: leave {option} {split} out")


def open_data(source: DataSpec, classes: Sequence[str] | None = None, *,
              progress: Progress | None = None) -> tuple[Packed, Packed | None]:
    """Open what a run trains on and what it validates on, packed.

    The classes, and their order, are `classes`; without, those of what it trains on. `progress`
    is told how far packing is. Raises DataError as `load` does.
    """
    train = _open(source.train, source.train_split, classes, source.format, progress)
    if source.validation_split == HELD_OUT:
        assert isinstance(train, Dataset)  # a file is not divided, see `choose`
        train, held_out = hold_out(train)
        twice = said_twice(train, held_out)
        return (pack(attrs.evolve(train, issues=(*train.issues, *twice)), progress=progress),
                pack(held_out, progress=progress))
    if source.validation is None:
        return _packed(train, progress), None
    validation = _open(source.validation, source.validation_split, train.classes, source.format,
                       progress)
    if isinstance(train, Dataset) and isinstance(validation, Dataset):
        twice = said_twice(train, validation)
        validation = attrs.evolve(validation, issues=(*validation.issues, *twice))
    return _packed(train, progress), _packed(validation, progress)


def open_split(path: Path, split: str | None, classes: Sequence[str] | None = None,
               format: str | None = None, *, progress: Progress | None = None) -> Packed:
    """Open one split, packed, with damaged records left out. Raises DataError as `load` does."""
    return _packed(_open(as_text(path), split, classes, format, progress), progress)


def _open(path: str, split: str | None, classes: Sequence[str] | None, format: str | None,
          progress: Progress | None) -> Packed | Dataset:
    file = as_path(path)
    if is_packed(file):
        return proved(open_rec(file, classes), progress)
    return read_dataset(file, split, classes, format)


def _packed(source: Packed | Dataset, progress: Progress | None) -> Packed:
    return pack(source, progress=progress) if isinstance(source, Dataset) else source


def only(path: Path, split: str | None, format: str | None = None) -> DataSpec:
    """Choose what to learn from where nothing is validated: a named split is taken whole."""
    chosen = choose(path, split, format=format)
    return chosen if split is None else attrs.evolve(chosen, validation=None,
                                                     validation_split=None)


def read_training(source: DataSpec) -> Packed | Dataset:
    """Read what a run trains on, without packing it. Raises DataError as `load` does."""
    if is_packed(as_path(source.train)):
        return open_rec(as_path(source.train))
    learning = read_dataset(as_path(source.train), source.train_split, format=source.format)
    return hold_out(learning)[0] if source.validation_split == HELD_OUT else learning


def open_measured(path: Path, split: str | None, classes: Sequence[str],
                  format: str | None = None, *, progress: Progress | None = None
                  ) -> tuple[Packed, str]:
    """Open what a detector is measured on, packed, and say in words what that is.

    Without a split it is what training on `path` would validate on (see :func:`choose`), so that
    nobody measures on pictures that were learnt by heart without knowing it. `progress` is told
    how far packing is.
    """
    if is_packed(path):
        _refuse_splits_of_files(path, split, "--split")
        return proved(open_rec(path, classes), progress), describe(path, split)
    chosen = choose(path, format=format).validation_split if split is None else split
    if chosen != HELD_OUT:
        return (open_split(path, chosen, classes, format, progress=progress),
                describe(path, chosen))
    held_out = hold_out(read_dataset(path, None, classes, format))[1]
    return pack(held_out, progress=progress), describe(path, chosen)


def describe(path: Path, split: str | None) -> str:
    """Say which images of a data set are meant."""
    name = shown(path)
    if is_packed(path):
        return name
    if split == HELD_OUT:
        return (f"{name}, split {HELD_OUT} (a tenth of the images, by name, which training leaves "
                f"out; --split {ALL} takes every image)")
    return f"{name}, split {split or ALL}"


def describe_validation(source: DataSpec) -> str:
    """Say which images a run validates on; empty where it does not."""
    if source.validation is None:
        return ""
    return describe(as_path(source.validation), source.validation_split)


def describe_training(source: DataSpec) -> str:
    """Say which images a run trains on."""
    rest = f" but for a tenth, by name ({HELD_OUT})" if source.validation_split == HELD_OUT else ""
    return f"{describe(as_path(source.train), source.train_split)}{rest}"


def hold_out(dataset: Dataset, share: float = HELD_OUT_SHARE) -> tuple[Dataset, Dataset]:
    """Divide a data set in two by its file names: the same image is always on the same side."""
    held = tuple(sample for sample in dataset.samples if _draw(sample) < share)
    kept = tuple(sample for sample in dataset.samples if _draw(sample) >= share)
    if not held or not kept:
        raise DataError(f"{dataset.root} has only {len(dataset.samples)} images, too few to hold "
                        f"some out for validation: name another split, or {ALL} for every image"
                        f"{_reasons(dataset)}")
    return (attrs.evolve(dataset, samples=kept),
            # what is wrong with the annotations has been reported once, with the first part
            attrs.evolve(dataset, samples=held, split=HELD_OUT, issues=()))


def _reasons(dataset: Dataset) -> str:
    """Say what was left out of a data set, which may be why so little is there."""
    words = describe_issues([issue for issue in dataset.issues if issue.action == LEFT_OUT])
    return f"\n{words}" if words else ""


def _draw(sample: Sample) -> float:
    return zlib.crc32(os.fsencode(sample.image.name)) / 2**32
