"""``ssdreg data convert``: a data set written in another format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.data.written import describe

NAME = "convert"
SUMMARY = "write a data set in another format, its pictures as they are trained on"
#: The formats that are written; see `ssdreg.data.writing`, which takes long to import.
FORMATS = ("voc", "coco", "yolo", "rec")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--to", required=True, choices=FORMATS, help="the format that is written")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="the folder to write, which is not there yet")
    parser.add_argument("--split", help="the split to write; all of them by default")
    arguments.add_data_format(parser)


def run(options: argparse.Namespace) -> int:
    """Convert, and say what was written."""
    from ssdreg.cli.progress import Console
    from ssdreg.data import describe_issues
    from ssdreg.data.converting import convert
    written = convert(options.data, to=options.to, out=options.out, split=options.split,
                      data_format=arguments.data_format(options), progress=Console())
    if written.issues:
        print(describe_issues(written.issues), file=sys.stderr)
    print(describe(written))
    return 0
