"""``ssdreg demo``: the whole pipeline in a few minutes."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "demo"
SUMMARY = "draw a data set, train on it, look at the result, and tell the story of the taps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR",
                        help="where data, run and pictures go")


def run(options: argparse.Namespace) -> int:
    """Run the demonstration."""
    from ssdreg.cli.demo import demonstrate
    from ssdreg.compat.mxnet_package import require
    require()  # before the story begins
    return demonstrate(options.out)
