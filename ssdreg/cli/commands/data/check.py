"""``ssdreg data check``: what is wrong with a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments

NAME = "check"
SUMMARY = "look at a data set as training would take it, and say all that is wrong with it"
#: Exit status for a data set from which something had to be left out.
INCOMPLETE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = ("The exit status is 1 when an image or object that belongs to it had to be "
                     "left out, 2 when it cannot be used.")
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--split", help="the split to look at; every image by default")
    arguments.add_data_format(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Look at a data set and print what is in it and what is wrong."""
    from ssdreg.cli.progress import Console
    from ssdreg.data.checking import check
    checked = check(options.data, options.split, arguments.data_format(options),
                    progress=Console())
    print(to_json(checked.to_dict(), indent=2) if options.json else checked.to_text())
    return 0 if checked.complete else INCOMPLETE
