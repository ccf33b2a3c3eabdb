"""``ssdreg data split``: a data set divided for training, validation and testing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.data.convert import FORMATS
from ssdreg.cli.commands.data.written import describe

NAME = "split"
SUMMARY = "divide a data set: classes in their shares, pictures that are alike on one side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="the folder to write, which is not there yet")
    parser.add_argument("--shares", default="train=0.8,val=0.1,test=0.1", metavar="A=X,B=Y",
                        help="the splits, and their shares of the pictures")
    parser.add_argument("--seed", type=int, default=0, help="of what is decided by chance")
    parser.add_argument("--to", choices=FORMATS,
                        help="the format that is written; that of DATA by default, or yolo")
    arguments.add_data_format(parser)


def run(options: argparse.Namespace) -> int:
    """Divide, write, and say what is where."""
    from ssdreg.cli.progress import Console
    from ssdreg.data import describe_issues
    from ssdreg.data.splitting import parse_shares, split_dataset
    written = split_dataset(options.data, out=options.out, shares=parse_shares(options.shares),
                            seed=options.seed, to=options.to,
                            data_format=arguments.data_format(options), progress=Console())
    if written.issues:
        print(describe_issues(written.issues), file=sys.stderr)
    print(describe(written))
    return 0
