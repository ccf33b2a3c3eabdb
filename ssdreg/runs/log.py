"""The log of a run: ``log.csv``, a line an epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import attrs
from attrs import frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.errors import DataError
from ssdreg.metrics.coco import FIGURES, CocoFigures


@frozen
class Epoch:
    """What a line of the log says about one epoch.

    `steps` and `seconds` of training so far, `lr` at the epoch's end, `cls_loss` the
    cross-entropy per anchor that counted, `loc_loss` smooth L1 per positive anchor, `map` and
    `map_07` the validation mAP at IoU 0.5 (area under curve, 11 points), NaN where there was no
    validation; `coco` COCO's figures, None where they were not measured.
    """

    epoch: int
    steps: int
    seconds: float
    lr: float
    images_per_second: float
    cls_loss: float
    loc_loss: float
    map: float = math.nan
    map_07: float = math.nan
    coco: CocoFigures | None = None

    @property
    def ap(self) -> float:
        """COCO's AP, over IoU 0.5 to 0.95; NaN where it was not measured."""
        return self.coco.ap if self.coco else math.nan

    def __str__(self) -> str:
        """Return the line that training shows of it."""
        measured = "" if math.isnan(self.map) else f"  mAP {self.map:.3f}"
        if not math.isnan(self.ap):
            measured += f"  AP {self.ap:.3f}"
        return (f"epoch {self.epoch:3d}  {self.images_per_second:6.1f} img/s  "
                f"cls {self.cls_loss:.3f}  loc {self.loc_loss:.3f}{measured}  "
                f"{duration(self.seconds)}")


def validated(epochs: Iterable[Epoch]) -> list[Epoch]:
    """Return the epochs that were validated, in their order."""
    return [entry for entry in epochs if not math.isnan(entry.map)]


def best_of(epochs: Iterable[Epoch]) -> Epoch | None:
    """Return the epoch that validates best, the first of those that are equal; None for none.

    It is the one with the greatest AP, which counts how well boxes fit too; where that was not
    measured, with the greatest mAP at IoU 0.5.
    """
    entries = validated(epochs)
    measured = not any(math.isnan(entry.ap) for entry in entries)
    return max(entries, key=lambda entry: entry.ap if measured else entry.map, default=None)


def is_level(epochs: Sequence[Epoch], patience: int) -> bool:
    """Tell whether the last `patience` validations were no better than the best before them."""
    entries, best = validated(epochs), best_of(epochs)
    return best is not None and len(entries) - 1 - entries.index(best) >= patience


def duration(seconds: float) -> str:
    """Write a time in seconds, minutes or hours, in few digits: ``8.5 s``, ``12.3 min``."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds >= 10 * size else (
                f"{seconds / size:.1f} {unit}")
    return f"{seconds:.1f} s"


#: The columns that every log has; COCO's figures stand behind them.
_FIELDS = tuple(name for name in attrs.fields_dict(Epoch) if name != "coco")
_WHOLE = ("epoch", "steps")
#: Bytes in which the first line of a log has ended.
_LOOKED_AT = 4096
_OPTIONAL = ("map", "map_07")


def has_lines(log_csv: Path) -> bool:
    """Tell whether a log has more than its header: it has not before the first epoch has ended,
    and where it was emptied."""
    if not log_csv.is_file():
        return False
    with log_csv.open("rb") as file:
        first, *others = file.read(_LOOKED_AT).strip().splitlines() or [b""]
    return bool(others) or not (first == b"" or first.startswith(b"epoch,"))


def read_log(log_csv: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a run's log.csv, in its order.

    The header names the columns; those that `Epoch` has must be there, others are skipped. COCO's
    figures may be missing, as in logs of older versions, and they, `map` and `map_07` may be empty.
    Raises DataError for a file that cannot be read, has
    another header, no epoch, or a field that is no number.
    """
    try:
        with log_csv.open(newline="", encoding="utf-8") as file:
            return _epochs(csv.DictReader(file), log_csv)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{log_csv} cannot be read as a training log: {error}") from error


def _epochs(reader: csv.DictReader[str], log_csv: Path) -> tuple[Epoch, ...]:
    header = reader.fieldnames or ()
    lines = list(reader)
    missing = [name for name in _FIELDS if name not in header]
    if missing:
        raise DataError(f"{log_csv} is not a training log: it has no column "
                        f"{', '.join(missing)}; give the log.csv of a run")
    if not lines:
        raise DataError(f"{log_csv} holds no epoch yet; train at least one first")
    # the header is line 1
    return tuple(_epoch(line, f"{log_csv}, line {number}") for number, line in enumerate(lines, 2))


def readable_lines(log_csv: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a damaged log whose lines can still be read, in its order."""
    lines = log_csv.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    epochs: list[Epoch] = []
    for line in lines[1:]:
        with suppress(DataError, csv.Error, UnicodeDecodeError):
            epochs += _epochs(csv.DictReader([lines[0], line]), log_csv)
    return tuple(epochs)


def write_log(log_csv: Path, epochs: Sequence[Epoch]) -> None:
    """Write the log anew, whole or not at all."""
    with replacing(log_csv) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*_FIELDS, *FIGURES))
        for epoch in epochs:
            figures = attrs.astuple(epoch.coco) if epoch.coco else (math.nan,) * len(FIGURES)
            writer.writerow([*(_text(name, getattr(epoch, name)) for name in _FIELDS),
                             *("" if math.isnan(value) else f"{value:.6g}" for value in figures)])


def _text(name: str, value: float) -> str:
    if name in _WHOLE:
        return str(value)
    return "" if name in _OPTIONAL and math.isnan(value) else f"{value:.6g}"


def _epoch(line: dict[str, str | None], where: str) -> Epoch:
    def number(name: str) -> float:
        text = line[name]
        if text == "" and (name in _OPTIONAL or name in FIGURES):
            return math.nan
        try:
            # a line cut short has None for the fields it lacks
            return int(text) if name in _WHOLE else float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: {name} is {text!r}, which is no number; mend or remove "
                            "that line") from error

    values = {name: number(name) for name in _FIELDS}
    coco = _coco([number(name) for name in FIGURES if name in line])
    return Epoch(**values, coco=coco)  # type: ignore[arg-type]


def _coco(figures: list[float]) -> CocoFigures | None:
    """Return the figures of a line; None where it lacks them, or has none of them."""
    if len(figures) < len(FIGURES) or all(math.isnan(value) for value in figures):
        return None
    return CocoFigures(*figures)
