"""The images that scales are taken from, and those that the effect is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from ssdreg.data import DataIssue, DataIssues, Packed, available_splits, splits
from ssdreg.data.splits import HELD_OUT, usual_pair
from ssdreg.errors import DataError
from ssdreg.progress import Note, Progress


@frozen
class CalibrationData:
    """What scales are taken from, and what is measured on, which may be the same."""

    scales: Packed
    measured: Packed

    @property
    def issues(self) -> tuple[DataIssue, ...]:
        """The issues of both data sets, each once."""
        return tuple(dict.fromkeys((*self.scales.issues, *self.measured.issues)))


def choose_splits(data: Path, taken: str | None, measured: str | None,
                  format: str | None = None) -> tuple[str | None, str | None]:
    """Fill in the splits that were not named: (to take scales from, to measure on).

    Where a folder has a usual pair of splits that agrees with what was named, it is that; where
    none was named, a tenth is held out, as in training. A ``.rec`` file is one split.
    """
    if data.suffix == ".rec":
        for option, split in (("--split", measured), ("--calibration-split", taken)):
            if split is not None:
                raise DataError(f"{data} is one split already: leave {option} {split} out")
        return None, None
    pair = usual_pair(available_splits(data, format), taken, measured)
    if pair is not None:
        return pair
    if measured is None and taken is None:
        return None, HELD_OUT
    return taken or measured, measured or taken


def open_calibration(data: Path, taken: str | None, measured: str | None, classes: Sequence[str],
                     measuring: bool, progress: Progress, format: str | None = None
                     ) -> CalibrationData:
    """Open both, and tell it when they are the same; `measuring` is False where neither matters.

    Raises DataError as `ssdreg.data.load` and `choose_splits` do.
    """
    taken, measured = choose_splits(data, taken, measured, format)
    if measured == HELD_OUT:
        halves = splits.open_data(splits.choose(data, taken, format=format), classes,
                                  progress=progress)
        opened = [packed for packed in halves if packed is not None]
    else:
        opened = [splits.open_split(data, split, classes, format, progress=progress)
                  for split in dict.fromkeys((taken, measured))]
    if measuring:
        progress(Note(f"measuring on {splits.describe(data, measured)}"))
    for packed in opened:
        if packed.issues:
            progress(DataIssues(packed.issues))
    if len(opened) == 1 and measuring:
        progress(Note(f"{data}: scales are taken from the images that are measured on; "
                      f"--calibration-split names others"))
    return CalibrationData(opened[0], opened[-1])
