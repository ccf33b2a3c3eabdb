"""``ssdreg eval``: how good is a detector?"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments

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
    arguments.add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from ssdreg.cli.progress import Console
    from ssdreg.evaluation.evaluate import evaluate
    arguments.fetch_named(options.model)
    evaluation = evaluate(
        options.model, data=options.data, split=options.split, epoch=options.epoch,
        backend=options.backend, precision=options.precision, threads=options.threads,
        device=options.device, data_format=arguments.data_format(options), report=options.report,
        progress=Console(), **arguments.told(options))
    print(to_json(evaluation.to_dict(), indent=2) if options.json else evaluation.text())
    return 0
