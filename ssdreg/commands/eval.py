"""``ssdreg eval``: how good is a detector?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.command import add_backend_arguments
from ssdreg_runtime.console import to_json

from ssdreg.commands import arguments
from ssdreg.errors import DataError, RunError, SsdregError

if TYPE_CHECKING:
    from ssdreg.data import Packed
    from ssdreg.metric import Evaluation
    from ssdreg.run import Run

NAME = "eval"
SUMMARY = "measure a detector's average precision per class and its mAP at IoU 0.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, metavar="RUN|MODEL", help=arguments.MODEL)
    parser.add_argument("--data", type=Path, metavar="DIR|REC",
                        help="images with boxes; what a run was validated on by default")
    parser.add_argument("--split", help="the split of --data; by default what `ssdreg train` would "
                                        "validate on, all is every image")
    parser.add_argument("--epoch", type=int, help="the epoch to take; the best by default")
    parser.add_argument("--batch-size", type=int, default=8,
                        help="images at a time, where MXNet runs a run")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    add_backend_arguments(parser, arguments.BACKENDS, None, arguments.BACKEND)
    arguments.add_context(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from ssdreg.detector import MXNET
    from ssdreg.run import CONFIG, open_run
    if options.split is not None and options.data is None:
        raise DataError("--split names a split of --data: give --data too")
    if options.batch_size < 1:
        raise SsdregError(f"a batch of {options.batch_size} images is none: give --batch-size 1 or "
                          f"more")
    found = open_run(options.model) if (options.model / CONFIG).is_file() else None
    backend = arguments.backend_of(options)
    if found is not None and backend == MXNET and options.precision == "auto":
        packed, what = _data(options, found, found.classes)
        evaluation = _by_mxnet(options, found, packed)
    else:
        packed, what, evaluation = _by_backend(options, found)
    epoch = (found.best_epoch() if options.epoch is None else options.epoch) if found else None
    if options.json:
        print(to_json({"run": str(options.model), "epoch": epoch, "data": what,
                       "backend": backend, **evaluation.to_dict()}, indent=2))
    else:
        print(f"{options.model}{f', epoch {epoch}' if epoch else ''}, "
              f"{evaluation.images} images of {what}")
        print(evaluation.table())
    return 0


def _data(options: argparse.Namespace, run: Run | None,
          classes: tuple[str, ...]) -> tuple[Packed, str]:
    """Open what is measured on, tell what is wrong with it, and return it with its words."""
    from ssdreg.data import describe_problems, splits
    from ssdreg.training import state
    if options.data is not None:
        packed, what = splits.open_measured(options.data, options.split, classes)
    elif run is None or not (run.path / state.FILE).is_file():
        what = "is no run" if run is None else "was imported, not trained here"
        raise RunError(f"{options.model} {what}, and has no data of its own: give --data")
    else:
        source = state.load_source(run)
        validation = splits.open_source(source)[1]
        if validation is None:
            raise RunError(f"{run.path} was trained without validation data: give --data")
        packed, what = validation, splits.describe_validation(source)
    if packed.problems:
        print(describe_problems(packed.problems), file=sys.stderr)
    return packed, what


def _by_mxnet(options: argparse.Namespace, run: Run, packed: Packed) -> Evaluation:
    """Evaluate a run as training does, a batch at a time."""
    from ssdreg.data import open_eval
    from ssdreg.inference import open_inference
    context = arguments.contexts(options.ctx)[0]
    batches = open_eval(packed, run.plan.data_shape, options.batch_size, run.plan.normalisation)
    try:
        inference = open_inference(run, options.batch_size, options.epoch, context)
        return inference.evaluate(batches, run.classes)
    finally:
        batches.close()


def _by_backend(options: argparse.Namespace,
                run: Run | None) -> tuple[Packed, str, Evaluation]:
    """Evaluate what is deployed, with what runs it, an image at a time."""
    from ssdreg.quantize.images import read_examples
    from ssdreg.quantize.searching import evaluate
    opened = arguments.open_backend(options)
    classes = opened.facts.classes
    packed, what = _data(options, run, classes)
    evaluation, = evaluate([opened], read_examples(packed, opened.facts.data_shape), classes)
    return packed, what, evaluation
