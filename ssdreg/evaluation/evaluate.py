"""How good a detector is on images with boxes: `ssdreg.evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from attrs import asdict, field, frozen
from ssdreg_runtime.backends import AUTO
from ssdreg_runtime.system.names import shown

from ssdreg.data import DataIssue, DataIssues, Packed, splits
from ssdreg.data.originals import read_image
from ssdreg.drawing.report import Report, draw_worst, write_report
from ssdreg.drawing.report.page import check_report
from ssdreg.errors import DataError, RunError
from ssdreg.inference.detector import open_backend
from ssdreg.inference.measuring import compare_on, settings
from ssdreg.metrics.measures import Measures, measure
from ssdreg.metrics.text import describe
from ssdreg.progress import Progress, silent
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.run import CONFIG, Run, open_run
from ssdreg.training import state


@frozen
class DetectorEvaluation:
    """How good a detector is.

    - `model`: where it was read; `epoch` of a run, None of anything else
    - `data`: what it was measured on, in words
    - `backend`, `precision`: what it was run by
    - `measures`: VOC's and COCO's figures, best thresholds, confusions, and errors by kind
    - `report`: the page that was written, None where none was
    - `issues`: what is wrong with the data
    """

    model: str
    epoch: int | None
    data: str
    backend: str
    precision: str
    measures: Measures = field(repr=False)
    report: Path | None = None
    issues: tuple[DataIssue, ...] = ()

    @property
    def map(self) -> float:
        """The mean of the classes' average precision, 0..1; NaN where there is no object."""
        return self.measures.voc.map

    def to_dict(self) -> dict[str, object]:
        """Return everything for JSON, with None for NaN."""
        return {"model": self.model, "epoch": self.epoch, "data": self.data,
                "backend": self.backend, "precision": self.precision,
                **self.measures.voc.to_dict(), **self.measures.to_dict(),
                **({"report": str(self.report)} if self.report else {})}

    @property
    def subject(self) -> str:
        """What was measured, on what: a line."""
        epoch = f", epoch {self.epoch}" if self.epoch else ""
        return (f"{self.model}{epoch}, {self.backend} in {self.precision}, "
                f"{self.measures.voc.images} images of {self.data}")

    def text(self) -> str:
        """Return the line about what was measured, a table of the classes, and the measures."""
        lines = [self.subject, self.measures.voc.table(), "", describe(self.measures)]
        if self.report is not None:
            lines += ["", f"written: {self.report}, the report"]
        return "\n".join(lines)


def evaluate(model: str | os.PathLike[str], *, data: str | os.PathLike[str] | None = None,
             split: str | None = None, epoch: int | None = None,
             classes: Sequence[str] | None = None,
             data_shape: int | tuple[int, int] | None = None,
             preprocessing: Preprocessing | None = None, backend: str = AUTO,
             precision: str = AUTO, threads: int | None = None, device: str = "cpu",
             data_format: str | None = None, report: str | os.PathLike[str] | None = None,
             progress: Progress | None = None) -> DetectorEvaluation:
    """Measure a detector as VOC and COCO do, its confusions and errors, as ``ssdreg eval`` does.

    `model`, `epoch`, `classes`, `data_shape`, `preprocessing`, `backend`, `precision`, `threads`
    and `device` are those of `ssdreg.Detector`.

    `data` is a data set of any format that `ssdreg.data.formats` knows (`data_format` names it
    where
    looking does not tell it) or a ``.rec`` file; by default it is what a run was validated on.
    `split` names the part of it to measure on; by default it is what training would
    validate on, and ``all`` is every image. `progress` is called with `Work` while images are
    packed, and with `DataIssues` where some are left out. `report` is an ``.html`` file to write:
    one page with curves, confusions, errors and the worst pictures.

    Raises DataError for data that cannot be read, RunError where there are none, and what
    `ssdreg.Detector` raises.
    """
    tell, path = progress or silent, Path(model)
    if split is not None and data is None:
        raise DataError("--split names a split of --data: give --data too")
    page = None if report is None else Path(report)
    if page is not None:
        check_report(page)
    run = open_run(path) if (path / CONFIG).is_file() else None
    opened = open_backend(path, backend, threads, precision, epoch, device, classes=classes,
                          data_shape=data_shape, preprocessing=preprocessing)
    if data is not None:
        packed, what = splits.open_measured(Path(data), split, opened.facts.classes, data_format,
                                            progress=tell)
    else:
        packed, what = _validation(path, run, tell)
    if packed.issues:
        tell(DataIssues(packed.issues))
    comparison = compare_on(opened, packed)
    if run is not None and epoch is None:
        epoch = run.best_epoch()
    evaluation = DetectorEvaluation(str(path), epoch if run else None, what, opened.name,
                                    opened.precision, measure(comparison), page, packed.issues)
    if page is not None:
        measures = evaluation.measures
        pictures = draw_worst(comparison, measures.confusion.threshold,
                              partial(read_image, packed))
        write_report(Report(shown(path), evaluation.subject, measures, pictures,
                            (*settings(opened), *_recipe(run))), page)
    return evaluation


def _recipe(run: Run | None) -> list[tuple[str, str]]:
    """Return the recipe that a run was trained by, (name, value); empty where there is none."""
    if run is None or not (run.path / state.FILE).is_file():
        return []
    return [(f"training: {name.replace('_', ' ')}", str(value))
            for name, value in asdict(state.load_options(run)).items() if value is not None]


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
