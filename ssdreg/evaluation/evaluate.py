"""How good a detector is on images with boxes: `ssdreg.evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from ssdreg_runtime.backends import AUTO

from ssdreg.data import DataIssue, DataIssues, Packed, splits
from ssdreg.errors import DataError, RunError
from ssdreg.inference.detector import choose_device, open_backend
from ssdreg.metrics.voc import Evaluation
from ssdreg.progress import Progress, silent
from ssdreg.quantize.images import read_examples
from ssdreg.quantize.searching import evaluate as average_precision
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.run import CONFIG, Run, open_run
from ssdreg.training import state


@frozen
class DetectorEvaluation:
    """How good a detector is.

    - `model`: where it was read; `epoch` of a run, None of anything else
    - `data`: what it was measured on, in words
    - `backend`, `precision`: what it was run by
    - `evaluation`: the average precision of every class
    - `issues`: what is wrong with the data
    """

    model: str
    epoch: int | None
    data: str
    backend: str
    precision: str
    evaluation: Evaluation
    issues: tuple[DataIssue, ...] = ()

    @property
    def map(self) -> float:
        """The mean of the classes' average precision, 0..1; NaN where there is no object."""
        return self.evaluation.map

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON, with None for NaN."""
        return {"model": self.model, "epoch": self.epoch, "data": self.data,
                "backend": self.backend, "precision": self.precision, **self.evaluation.to_dict()}

    def text(self) -> str:
        """Return a line about what was measured, and a table of the classes."""
        epoch = f", epoch {self.epoch}" if self.epoch else ""
        return (f"{self.model}{epoch}, {self.backend} in {self.precision}, "
                f"{self.evaluation.images} images of {self.data}\n{self.evaluation.table()}")


def evaluate(model: str | os.PathLike[str], *, data: str | os.PathLike[str] | None = None,
             split: str | None = None, epoch: int | None = None,
             classes: Sequence[str] | None = None,
             data_shape: int | tuple[int, int] | None = None,
             preprocessing: Preprocessing | None = None, backend: str = AUTO,
             precision: str = AUTO, threads: int | None = None, ctx: str = "cpu",
             progress: Progress | None = None) -> DetectorEvaluation:
    """Measure a detector's average precision per class at IoU 0.5, as ``ssdreg eval`` does.

    `model`, `epoch`, `classes`, `data_shape`, `preprocessing`, `backend`, `precision` and `threads`
    are those of `ssdreg.Detector`; `ctx` names a device of MXNet, as ``gpu:0``.

    `data` is a folder in PASCAL VOC layout or a ``.rec`` file; by default it is what a run was
    validated on. `split` names the part of it to measure on; by default it is what training would
    validate on, and ``all`` is every image. `progress` is called with `Work` while images are
    packed, and with `DataIssues` where some are left out.

    Raises DataError for data that cannot be read, RunError where there are none, and what
    `ssdreg.Detector` raises.
    """
    tell, path = progress or silent, Path(model)
    if split is not None and data is None:
        raise DataError("--split names a split of --data: give --data too")
    run = open_run(path) if (path / CONFIG).is_file() else None
    backend, context = choose_device(path, backend, ctx)
    opened = open_backend(path, backend, threads, precision, epoch, context, classes=classes,
                          data_shape=data_shape, preprocessing=preprocessing)
    if data is not None:
        packed, what = splits.open_measured(Path(data), split, opened.facts.classes, progress=tell)
    else:
        packed, what = _validation(path, run, tell)
    if packed.issues:
        tell(DataIssues(packed.issues))
    found, = average_precision([opened], read_examples(packed, opened.facts.data_shape),
                               opened.facts.classes)
    if run is not None and epoch is None:
        epoch = run.best_epoch()
    return DetectorEvaluation(str(path), epoch if run else None, what, opened.name,
                              opened.precision, found, packed.issues)


def _validation(path: Path, run: Run | None, progress: Progress) -> tuple[Packed, str]:
    """Open what a run was validated on, and return it with its words."""
    if run is None or not (run.path / state.FILE).is_file():
        what = "is no run" if run is None else "was imported, not trained here"
        raise RunError(f"{path} {what}, and has no data of its own: give --data")
    source = state.load_source(run)
    validation = splits.open_data(source, progress=progress)[1]
    if validation is None:
        raise RunError(f"{run.path} was trained without validation data: give --data")
    return validation, splits.describe_validation(source)
