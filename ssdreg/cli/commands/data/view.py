"""``ssdreg data view``: samples of a data set, and what is wrong with it, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg.cli.commands import arguments

NAME = "view"
SUMMARY = "draw samples with their boxes, as they are and as training sees them"
COUNT = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE",
                        help="the picture to draw, .png or .jpg")
    parser.add_argument("--split", help="the split to look at; every image by default")
    arguments.add_data_format(parser)
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="pictures to show")
    parser.add_argument("--seed", type=int, default=0, help="which pictures are drawn by")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--augment", choices=("light", "ssd", "none"), default="none",
                       help="show each as training sees it, too")
    shown.add_argument("--worst", action="store_true",
                       help="show what `ssdreg data check` complains of, the worst first")


def run(options: argparse.Namespace) -> int:
    """Draw the sheet."""
    from ssdreg.cli.progress import Console
    from ssdreg.data import RECIPES
    from ssdreg.drawing.viewing import view, view_issues
    named = arguments.data_format(options)
    if options.worst:
        count = view_issues(options.data, options.out, split=options.split, data_format=named,
                            count=options.count, progress=Console())
        if not count:
            print("nothing is wrong with it, so nothing was drawn")
            return 0
    else:
        view(options.data, options.out, split=options.split, data_format=named,
             count=options.count, seed=options.seed, augmentation=RECIPES[options.augment])
    print(f"drawn: {options.out}")
    return 0
