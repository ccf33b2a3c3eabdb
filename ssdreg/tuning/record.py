"""What a tuning's folder says about it: its task, its budget, and how long a trial is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from ssdreg_runtime.system.files import write_json

from ssdreg._version import __version__
from ssdreg.data.splits import DataSpec
from ssdreg.errors import RunError
from ssdreg.training.choices import DetectorChoice
from ssdreg.tuning.prepared import Task

#: The files of a tuning, in its folder.
FILE, RANGE, STUDY, TABLE, PICTURE = ("tune.json", "lr_range.csv", "trials.log", "trials.csv",
                                      "tune.png")
#: The folder in it where the trial under way is trained.
UNDER_WAY = ".trial"
#: What stands for `--out` in the command that trains: a folder in that of the tuning.
BEST = "best"
FORMAT = 1


@frozen(kw_only=True)
class Record:
    """A tuning as it is written down.

    `budget` and `spent` are seconds. `epochs` are those of a trial, None before they are chosen;
    `image_seconds` is the time that training takes an image, 0 before it was measured.
    """

    task: Task
    budget: float
    spent: float = 0.0
    epochs: int | None = None
    image_seconds: float = 0.0


def write_record(folder: Path, record: Record) -> None:
    """Write it into the folder of a tuning, whole or not at all."""
    write_json(folder / FILE, {"format": FORMAT, "ssdreg": __version__, **attrs.asdict(record)})


def read_record(folder: Path) -> Record:
    """Read what `write_record` wrote; raise RunError for anything else."""
    file = folder / FILE
    if not file.is_file():
        raise RunError(f"{folder} is no tuning: it has no {FILE}; give the folder that "
                       f"`ssdreg tune --out` wrote")
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        if stated.pop("format") > FORMAT:
            raise RunError(f"{file} was written by ssdreg {stated['ssdreg']}, newer than this "
                           f"{__version__}: upgrade ssdreg from where you have it")
        del stated["ssdreg"]
        task = stated.pop("task")
        task["source"] = DataSpec(**task["source"])
        task["detector"] = DetectorChoice(**{name: _frozen(value)
                                             for name, value in task["detector"].items()})
        return Record(task=Task(**task), **stated)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{file} is not what `ssdreg tune` wrote: "
                       f"{type(error).__name__}: {error}") from error


def refuse_tuning(folder: Path) -> None:
    """Raise RunError when there is a tuning in this folder already."""
    if (folder / FILE).exists():
        raise RunError(f"{folder} already holds a tuning: go on with it by `--resume`, choose "
                       f"another --out, or delete it")


def _frozen(value: Any) -> Any:
    """Make tuples of JSON's lists."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
