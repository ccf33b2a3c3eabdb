"""``ssdreg import``: a checkpoint of another program becomes a run."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from ssdreg.commands import arguments
from ssdreg.errors import SsdregError
from ssdreg.normalisation import Normalisation

NAME = "import"
SUMMARY = "turn a checkpoint of MXNet's SSD example, SageMaker or GluonCV into a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="PATH",
                        help="a prefix, a .params file, a -symbol.json, or a model.tar.gz")
    parser.add_argument("--out", type=Path, metavar="RUN",
                        help="the run's folder; without it, only what was found is shown")
    parser.add_argument("--epoch", type=int, help="the epoch, where the prefix has several")
    parser.add_argument("--classes", metavar="A,B,C|FILE",
                        help="the classes' names in order, or a file with a name a line")
    parser.add_argument("--data-shape", type=arguments.shape, metavar="SIDE|HxW",
                        help="the network's input in pixels, where the files do not tell it")
    for name, what in (("mean", "taken off"), ("std", "divided by")):
        parser.add_argument(f"--{name}", type=_three, metavar="R,G,B",
                            help=f"what pixels of 0 to 255 are {what}, where it is not the usual")


def _three(text: str) -> tuple[float, ...]:
    """Read ``123.68,116.78,103.94``."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} are no three numbers, as 123,117,104")
    return values


def run(options: argparse.Namespace) -> int:
    """Read, show what was found, and write the run."""
    import ssdreg
    from ssdreg.legacy import CheckpointWarning
    from ssdreg.legacy.source import read_class_names
    from ssdreg.run import refuse_run
    if options.out:
        refuse_run(options.out)
    classes = read_class_names(options.classes) if options.classes else None
    with warnings.catch_warnings():
        # said below, as a sentence of this command
        warnings.simplefilter("ignore", CheckpointWarning)
        found = ssdreg.load(options.path, options.epoch, classes, options.data_shape,
                            _normalisation(options))
    print(found.describe())
    if found.complaint:
        print(f"ssdreg: warning: {found.complaint}\n  It detects as it was trained to. A new "
              f"training with the right taps would use the whole network.", file=sys.stderr)
    if options.out:
        run = found.save(options.out)
        print(f"written: {run.path}; look at it with: ssdreg predict {run.path} IMAGE")
    return 0


def _normalisation(options: argparse.Namespace) -> Normalisation | None:
    """Return what was given of the normalisation; None leaves it to the kind of checkpoint."""
    if options.mean is None and options.std is None:
        return None
    if options.mean is None:
        raise SsdregError("--std goes with --mean: give --mean too, as 0,0,0")
    try:
        return Normalisation(options.mean, options.std or (1.0, 1.0, 1.0))
    except ValueError as error:
        raise SsdregError(f"--mean and --std: {error}") from error
