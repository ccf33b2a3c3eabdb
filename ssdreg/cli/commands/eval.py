"""``ssdreg eval``: how good is a detector?"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict
from ssdreg_runtime.cli.common import add_backend_arguments
from ssdreg_runtime.system.console import to_json
from ssdreg_runtime.system.names import shown

from ssdreg.cli.commands import arguments
from ssdreg.errors import DataError, RunError

if TYPE_CHECKING:
    from ssdreg.data import Packed
    from ssdreg.runs.run import Run

NAME = "eval"
SUMMARY = "measure a detector: mAP as VOC and COCO do, confusions, errors by kind"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=arguments.MODEL)
    parser.add_argument("--data", type=Path, metavar="DIR|REC",
                        help=f"{arguments.DATA}; what a run was validated on by default")
    parser.add_argument("--split", help="the split of --data; by default what `ssdreg train` would "
                                        "validate on, all is every image")
    arguments.add_data_format(parser)
    arguments.add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--report", type=Path, metavar="FILE.html",
                        help="write a page with curves, confusions, errors and the worst pictures")
    add_backend_arguments(parser, arguments.BACKENDS, "auto", arguments.BACKEND)
    arguments.add_context(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from ssdreg.data.originals import read_image
    from ssdreg.evaluation.measures import measure
    from ssdreg.evaluation.text import describe
    from ssdreg.inference.measuring import compare_on, settings
    from ssdreg.runs.run import CONFIG, open_run
    if options.split is not None and options.data is None:
        raise DataError("--split names a split of --data: give --data too")
    if options.report is not None:
        from ssdreg.drawing.report.page import check_report
        check_report(options.report)
    run = open_run(options.model) if (options.model / CONFIG).is_file() else None
    opened = arguments.open_backend(options)
    packed, what = _data(options, run, opened.facts.classes)
    comparison = compare_on(opened, packed)
    measures = measure(comparison)
    epoch = (run.best_epoch() if options.epoch is None else options.epoch) if run else None
    head = (f"{options.model}{f', epoch {epoch}' if epoch else ''}, {opened.name} in "
            f"{opened.precision}, {measures.voc.images} images of {what}")
    if options.report is not None:
        from ssdreg.drawing.report import Report, draw_worst, write_report
        write_report(Report(
            shown(options.model), head, measures,
            draw_worst(comparison, measures.confusion.threshold, partial(read_image, packed)),
            (*settings(opened), *_recipe(run))), options.report)
    if options.json:
        print(to_json({"model": str(options.model), "epoch": epoch, "data": what,
                       "backend": opened.name, "precision": opened.precision,
                       **measures.voc.to_dict(), **measures.to_dict(),
                       **({"report": str(options.report)} if options.report else {})}, indent=2))
    else:
        print(head)
        print(measures.voc.table())
        print()
        print(describe(measures))
        if options.report is not None:
            print()
            print(f"written: {options.report}, the report")
    return 0


def _recipe(run: Run | None) -> list[tuple[str, str]]:
    """Return the recipe that a run was trained by, (name, value); empty where there is none."""
    from ssdreg.training import state
    if run is None or not (run.path / state.FILE).is_file():
        return []
    return [(f"training: {name.replace('_', ' ')}", str(value))
            for name, value in asdict(state.load_options(run)).items() if value is not None]


def _data(options: argparse.Namespace, run: Run | None,
          classes: tuple[str, ...]) -> tuple[Packed, str]:
    """Open what is measured on, tell what is wrong with it, and return it with its words."""
    from ssdreg.data import describe_issues, splits
    from ssdreg.training import state
    named = arguments.data_format(options)
    if options.data is not None:
        packed, what = splits.open_measured(options.data, options.split, classes, named)
    elif run is None or not (run.path / state.FILE).is_file():
        what = "is no run" if run is None else "was imported, not trained here"
        raise RunError(f"{options.model} {what}, and has no data of its own: give --data")
    else:
        source = state.load_source(run)
        validation = splits.open_data(source)[1]
        if validation is None:
            raise RunError(f"{run.path} was trained without validation data: give --data")
        packed, what = validation, splits.describe_validation(source)
    if packed.issues:
        print(describe_issues(packed.issues), file=sys.stderr)
    return packed, what
