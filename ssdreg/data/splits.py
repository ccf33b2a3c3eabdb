"""Which images train and which validate, when that is not said image by image."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import attrs
from attrs import frozen
from ssdreg_runtime.system.names import as_path, as_text, shown

from ssdreg.data.formats.voc import ALL, Dataset, Sample, available_splits, read_voc
from ssdreg.data.pack import load, pack
from ssdreg.data.packed import Packed, open_rec
from ssdreg.errors import DataError
from ssdreg.progress import Progress

#: The split of a folder that has no splits of its own: a tenth of the images, by name.
HELD_OUT = "held-out"
HELD_OUT_SHARE = 0.1
#: The extension of a file that is one split.
REC = ".rec"

#: Pairs of split names for training and validation, the first one that a data set has counts.
USUAL_PAIRS = (("train", "val"), ("trainval", "test"), ("train", "test"))


@frozen(kw_only=True)
class DataSpec:
    """The data a run trains and validates on, as it was given: paths and names of splits.

    Paths are text here, see `ssdreg_runtime.system.names.as_text`, so that they can be written
    down.
    """

    train: str
    train_split: str | None = None
    validation: str | None = None
    validation_split: str | None = None


def choose(train: Path, train_split: str | None = None, validation: Path | None = None,
           validation_split: str | None = None) -> DataSpec:
    """Fill in what was not given, from the splits a VOC folder has.

    Without a name for either split, the usual pairs are looked for; a folder without them
    validates on a tenth of its images, chosen by name; `ALL` names all images of a folder. A
    ``.rec`` file is one split, and validates only on what is given. Paths are made absolute, so
    that a run finds its data from any folder.

    Raises DataError when a split is named that could only be passed over, or when images would
    train and validate at once because only the split to validate on is named.
    """
    _refuse_splits_of_files(train, train_split, "--split")
    _refuse_splits_of_files(validation or train, validation_split, "--val-split")
    if train.suffix != REC and validation in (None, train):
        validation = train
        have = available_splits(train)
        pairs = [(left, right) for left, right in USUAL_PAIRS
                 if left in have and right in have
                 and train_split in (None, left) and validation_split in (None, right)]
        if pairs and None in (train_split, validation_split):
            train_split, validation_split = pairs[0]
        elif validation_split is None:
            validation_split = HELD_OUT
        elif train_split is None:
            raise DataError(f"{train}: say by --split what to train on besides the split "
                            f"{validation_split!r}; the splits here are: "
                            f"{', '.join(have) or 'none'}")
    return DataSpec(train=as_text(train.absolute()), train_split=train_split,
                    validation=as_text(validation.absolute()) if validation else None,
                    validation_split=validation_split)


def _refuse_splits_of_files(path: Path, split: str | None, option: str) -> None:
    if split is not None and path.suffix == REC:
        raise DataError(f"{path} is one split already: leave {option} {split} out")


def open_data(source: DataSpec, classes: Sequence[str] | None = None, *,
              progress: Progress | None = None) -> tuple[Packed, Packed | None]:
    """Open what a run trains on and what it validates on, packed.

    The classes, and their order, are `classes`; without, those of what it trains on. `progress`
    is told how far packing is. Raises DataError as `load` does.
    """
    if source.validation_split == HELD_OUT:
        learning, held_out = hold_out(read_voc(as_path(source.train), source.train_split, classes))
        return pack(learning, progress=progress), pack(held_out, progress=progress)
    train = load(as_path(source.train), source.train_split, classes, progress=progress)
    if source.validation is None:
        return train, None
    return train, load(as_path(source.validation), source.validation_split, train.classes,
                       progress=progress)


def only(path: Path, split: str | None) -> DataSpec:
    """Choose what to learn from where nothing is validated: a named split is taken whole."""
    chosen = choose(path, split)
    return chosen if split is None else attrs.evolve(chosen, validation=None,
                                                     validation_split=None)


def read_training(source: DataSpec) -> Packed | Dataset:
    """Read what a run trains on, without packing it. Raises DataError as `load` does."""
    if source.train.endswith(REC):
        return open_rec(as_path(source.train))
    learning = read_voc(as_path(source.train), source.train_split)
    return hold_out(learning)[0] if source.validation_split == HELD_OUT else learning


def open_measured(path: Path, split: str | None, classes: Sequence[str], *,
                  progress: Progress | None = None) -> tuple[Packed, str]:
    """Open what a detector is measured on, packed, and say in words what that is.

    Without a split it is what training on `path` would validate on (see :func:`choose`), so that
    nobody measures on pictures that were learnt by heart without knowing it. `progress` is told
    how far packing is.
    """
    if path.suffix == REC:
        _refuse_splits_of_files(path, split, "--split")
        return open_rec(path, classes), describe(path, split)
    chosen = choose(path).validation_split if split is None else split
    if chosen != HELD_OUT:
        return load(path, chosen, classes, progress=progress), describe(path, chosen)
    held_out = hold_out(read_voc(path, None, classes))[1]
    return pack(held_out, progress=progress), describe(path, chosen)


def describe(path: Path, split: str | None) -> str:
    """Say which images of a data set are meant."""
    name = shown(path)
    if path.suffix == REC:
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
                        f"some out for validation: name another split, or {ALL} for every image")
    return (attrs.evolve(dataset, samples=kept),
            # what is wrong with the annotations has been reported once, with the first part
            attrs.evolve(dataset, samples=held, split=HELD_OUT, issues=()))


def _draw(sample: Sample) -> float:
    return zlib.crc32(os.fsencode(sample.image.name)) / 2**32
