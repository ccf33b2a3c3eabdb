"""The result of a tuning: its trials, the best of them, and the command that trains with it."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
from attrs import frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.engines.choice import AUTO
from ssdreg.training.choices import DetectorChoice
from ssdreg.training.options import TrainOptions
from ssdreg.tuning.curve import RateCurve
from ssdreg.tuning.prepared import Task
from ssdreg.tuning.recipe import FIELDS, Recipe, as_text
from ssdreg.tuning.record import PICTURE, TABLE
from ssdreg.tuning.trial import FINISHED, Trial


@frozen
class Tuning:
    """The result of `ssdreg.tune`.

    - `path`: its folder
    - `best`: the trial with the greatest validation AP, of those that were not cut short
    - `options`: the recipe of the best trial for a whole training, its epochs included
    - `trials`: all of them, in their order; the first is the default recipe
    - `curve`: the losses of the range test
    - `command`: the command line that trains with the recipe
    """

    path: Path
    best: Trial
    options: TrainOptions
    trials: tuple[Trial, ...]
    curve: RateCurve
    command: str

    @property
    def picture(self) -> Path:
        """The range test's curve and the trials, drawn."""
        return self.path / PICTURE

    @property
    def table(self) -> Path:
        """The trials, a line each."""
        return self.path / TABLE

    def text(self) -> str:
        """Return the trials as a table, and which of them is best."""
        header = ("trial", "AP", *FIELDS, "epochs", "outcome")
        rows = [header, *(_row(trial) for trial in self.trials)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
        return "\n".join([*lines, "", self._verdict()])

    def _verdict(self) -> str:
        default = next((trial for trial in self.trials if trial.recipe == self.trials[0].recipe
                        and trial.outcome == FINISHED), None)
        if default is None or default == self.best:
            return (f"best: trial {self.best.number}, AP {self.best.ap:.3f}"
                    + ("" if default is None else ": the default recipe"))
        return (f"best: trial {self.best.number}, AP {self.best.ap:.3f}; the default recipe has "
                f"{default.ap:.3f}")


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the first with the greatest AP of those trained to their end; None without any."""
    ended = [trial for trial in trials if trial.outcome == FINISHED]
    return max(ended, key=lambda trial: trial.ap, default=None)


def write_table(file: Path, trials: Sequence[Trial]) -> None:
    """Write trials as a table, whole or not at all."""
    with replacing(file) as beside, beside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("trial", "ap", *FIELDS, "epochs", "seconds", "outcome"))
        for trial in trials:
            ap = "" if math.isnan(trial.ap) else f"{trial.ap:.6g}"
            writer.writerow((trial.number, ap, *attrs.astuple(trial.recipe), trial.epochs,
                             f"{trial.seconds:.6g}", trial.outcome))


def train_command(task: Task, recipe: Recipe, out: Path) -> str:
    """Return the command line that trains as a task and a recipe say, quoted for a shell."""
    words = ["ssdreg", "train"]

    def add(option: str, value: object) -> None:
        if value is not None:
            words.extend([option, str(value)])
    source, detector, usual = task.source, task.detector, DetectorChoice()
    add("--backbone", task.backbone or None)
    add("--data", source.train)
    add("--split", source.train_split)
    add("--val-data", source.validation if source.validation != source.train else None)
    add("--val-split", source.validation_split)
    if source.format and source.format.startswith("csv:"):
        add("--columns", source.format.partition(":")[2])
    else:
        add("--format", source.format)
    for field in attrs.fields(DetectorChoice):
        value = getattr(detector, field.name)
        if value != getattr(usual, field.name):
            add(f"--{field.name.replace('_', '-')}", _shape(value) if field.name == "data_shape"
                else _numbers(value))
    if task.pretrained is True:
        words.append("--pretrained")
    elif task.pretrained is False:
        words.append("--no-pretrained")
    else:
        add("--pretrained", task.pretrained)
    add("--engine", task.engine if task.engine != AUTO else None)
    add("--device", task.device if task.device != "cpu" else None)
    add("--seed", task.seed or None)
    for name, text in recipe.texts().items():
        add(f"--{name.replace('_', '-')}", text)
    add("--out", out)
    return shlex.join(words)


def _shape(value: int | tuple[int, int]) -> str:
    return str(value) if isinstance(value, int) else "x".join(map(str, value))


def _numbers(value: object) -> str:
    """Write ``8,16`` or ``0.1,0.2/0.3,0.4``; a text as it is."""
    if not isinstance(value, (list, tuple)):
        return str(value)
    if any(isinstance(part, (list, tuple)) for part in value):
        return "/".join(map(_numbers, value))
    return ",".join(map(as_text, value))


def _row(trial: Trial) -> tuple[str, ...]:
    return (str(trial.number), "-" if math.isnan(trial.ap) else f"{trial.ap:.3f}",
            *trial.recipe.texts().values(), str(trial.epochs), trial.outcome)
