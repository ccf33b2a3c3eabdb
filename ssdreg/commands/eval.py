"""``ssdreg eval``: how good is a run?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ssdreg.commands import arguments
from ssdreg.errors import DataError, RunError

NAME = "eval"
SUMMARY = "measure a run's average precision per class and its mAP at IoU 0.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what `ssdreg train` wrote")
    parser.add_argument("--data", type=Path, metavar="DIR|REC",
                        help="images with boxes; what the run was validated on by default")
    parser.add_argument("--split", help="the split of --data; all its images by default")
    parser.add_argument("--epoch", type=int, help="the epoch to take; the best by default")
    parser.add_argument("--batch-size", type=int, default=8, help="images at a time")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments.add_context(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from ssdreg.data import describe_problems, load, open_eval, splits
    from ssdreg.inference import open_inference
    from ssdreg.run import open_run
    from ssdreg.training import state
    if options.split is not None and options.data is None:
        raise DataError("--split names a split of --data: give --data too")
    found = open_run(options.run_folder)
    if options.data is not None:
        packed = load(options.data, options.split, found.classes)
    elif not (found.path / state.FILE).is_file():
        raise RunError(f"{found.path} was imported, not trained here, and has no data of its own: "
                       f"give --data")
    else:
        _, validation = splits.open_source(state.load_source(found))
        if validation is None:
            raise RunError(f"{found.path} was trained without validation data: give --data")
        packed = validation
    if packed.problems:
        print(describe_problems(packed.problems), file=sys.stderr)
    context = arguments.contexts(options.ctx)[0]
    batches = open_eval(packed, found.plan.data_shape, options.batch_size,
                        found.plan.normalisation)
    try:
        inference = open_inference(found, options.batch_size, options.epoch, context)
        evaluation = inference.evaluate(batches, found.classes)
    finally:
        batches.close()
    epoch = found.best_epoch() if options.epoch is None else options.epoch
    if options.json:
        print(json.dumps({"run": str(found.path), "epoch": epoch, **evaluation.to_dict()},
                         indent=2))
    else:
        print(f"{found.path}, epoch {epoch}, {evaluation.images} images")
        print(evaluation.table())
    return 0
