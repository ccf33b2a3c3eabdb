"""``ssdreg tune``: a learning rate and the rest of a recipe, searched within a budget of time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command
from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.tuning.result import Tuning

NAME = "tune"
SUMMARY = "search for a recipe to train by: a range test of the rate, then short trainings"

BUDGET = 30.0
#: What `--resume` keeps, with defaults; a value equal to its default counts as not given.
KEPT = {"backbone": None, "data": None, "split": None, "val_data": None, "val_split": None,
        "format": None, "columns": None, "epochs": None, "seed": 0, "pretrained": None,
        "no_pretrained": False, "engine": "auto", "device": "cpu", **arguments.DETECTOR}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    arguments.add_training(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER",
                        help="the folder to write; with --resume, the one to go on with")
    parser.add_argument("--budget", type=float, metavar="MINUTES",
                        help=f"wall time for all together, {BUDGET:g} by default; with --resume "
                             f"from now on, or what is left of the one before")
    parser.add_argument("--epochs", type=int,
                        help="epochs of a trial; by default so many that about twelve trials fit "
                             "into the budget")
    parser.add_argument("--seed", type=int, default=0,
                        help="of the trainings and of the search")
    arguments.add_start(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the tuning in --out")
    arguments.add_engine(parser)
    arguments.add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Start a tuning, or resume one."""
    from ssdreg.errors import Interrupted
    try:
        result = _resume(options) if options.resume else _start(options)
    except Interrupted:
        print(f"stopped and saved; go on with: "
              f"{command('ssdreg', 'tune', '--resume', '--out', options.out)}", file=sys.stderr)
        return 130
    print(f"\n{result.text()}")
    print(f"drawn: {result.picture}, listed: {result.table}")
    print(f"train with it: {result.command}")
    return 0


def _start(options: argparse.Namespace) -> Tuning:
    from ssdreg.cli.progress import Console
    from ssdreg.tuning.tune import tune
    if options.data is None:
        raise SsdregError("--backbone and --data are needed to tune (--pretrained RUN stands for a "
                          "backbone too, and --resume goes on with a tuning)")
    return tune(
        data=options.data, out=options.out, backbone=options.backbone, split=options.split,
        val_data=options.val_data, val_split=options.val_split,
        data_format=arguments.data_format(options), data_shape=options.data_shape,
        head=options.head, tap_strides=options.tap_strides, sizes=options.sizes, loss=options.loss,
        box_loss=options.box_loss, pretrained=arguments.pretrained(options),
        budget=BUDGET if options.budget is None else options.budget, epochs=options.epochs,
        seed=options.seed, engine=options.engine, device=options.device, progress=Console())


def _resume(options: argparse.Namespace) -> Tuning:
    from ssdreg.cli.progress import Console
    from ssdreg.tuning.tune import resume_tuning
    for name, default in KEPT.items():
        if getattr(options, name) != default:
            raise SsdregError(f"--{name.replace('_', '-')} is for a new tuning: a resumed one "
                              f"keeps its data, network and engine, leave it out")
    return resume_tuning(options.out, budget=options.budget, progress=Console())
