"""``ssdreg import``: a checkpoint of another program becomes a run."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command

NAME = "import"
SUMMARY = "turn a checkpoint of MXNet's SSD example, SageMaker or GluonCV into a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="CHECKPOINT",
                        help="a prefix, a .params file, a -symbol.json, or a model.tar.gz")
    parser.add_argument("--out", type=Path, metavar="RUN",
                        help="the run's folder; without it, only what was found is shown")
    arguments.add_checkpoint(parser)


def run(options: argparse.Namespace) -> int:
    """Read, show what was found, and write the run."""
    import ssdreg
    from ssdreg.checkpoints.files import read_class_names
    from ssdreg.errors import CheckpointWarning
    from ssdreg.runs.run import refuse_run
    if options.out:
        refuse_run(options.out)
    classes = read_class_names(options.classes) if options.classes else None
    with warnings.catch_warnings():
        # said below, as a sentence of this command
        warnings.simplefilter("ignore", CheckpointWarning)
        checkpoint = ssdreg.load_checkpoint(options.path, options.epoch, classes,
                                            options.data_shape, arguments.preprocessing(options))
    print(checkpoint.describe())
    if checkpoint.complaint:
        print(f"ssdreg: warning: {checkpoint.complaint}\n  It detects as it was trained to. A new "
              f"training with the right taps would use the whole network.", file=sys.stderr)
    if options.out:
        run = checkpoint.save(options.out)
        print(f"written: {run.path}; look at it with: "
              f"{command('ssdreg', 'predict', run.path, 'IMAGE')}")
    return 0
