"""``ssdreg data stats``: what a data set is made of."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments

NAME = "stats"
SUMMARY = "measure classes, sizes and shapes of boxes, and objects a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--split", help="the split to measure; each by default")
    arguments.add_data_format(parser)
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="draw the figures into this picture")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Measure, print, and draw when asked."""
    from ssdreg.cli.progress import Console
    from ssdreg.data import describe_issues
    from ssdreg.data.statistics import measure_dataset
    from ssdreg.drawing.statistics import check_statistics_file, draw_statistics
    if options.out:
        check_statistics_file(options.out)
    statistics = measure_dataset(options.data, split=options.split,
                                 data_format=arguments.data_format(options), progress=Console())
    if statistics.issues:
        print(describe_issues(statistics.issues), file=sys.stderr)
    if options.out:
        draw_statistics(statistics, options.out)
        print(f"drawn: {options.out}", file=sys.stderr)
    print(to_json(statistics.to_dict(), indent=2) if options.json else statistics.to_text())
    return 0
