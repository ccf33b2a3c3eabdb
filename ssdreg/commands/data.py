"""``ssdreg data``: what a data set asks of a detector."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.console import to_json

from ssdreg.commands import arguments

if TYPE_CHECKING:
    from ssdreg.data import Dataset, Packed

NAME = "data"
SUMMARY = "measure a data set's boxes against the anchors a detector has for them"

ANCHORS = "show which boxes the planned anchors match, and sizes that fit the data better"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own commands and their arguments."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    anchors = commands.add_parser(
        "anchors", help=ANCHORS, description=f"{ANCHORS[0].upper()}{ANCHORS[1:]}.",
        formatter_class=parser.formatter_class)
    anchors.add_argument("--data", type=Path, required=True, metavar="DIR|REC",
                         help="a folder in PASCAL VOC layout, or a .rec file")
    anchors.add_argument("--split", help="the split to measure; by default the one that "
                                         "`ssdreg train` would train on")
    anchors.add_argument("--backbone", required=True, help="a name from `ssdreg list`")
    arguments.add_detector(anchors)
    anchors.add_argument("--out", type=Path, metavar="FILE",
                         help="draw boxes, anchors and shares into this picture")
    anchors.add_argument("--json", action="store_true", help="print JSON for machines")
    anchors.set_defaults(measure=measure_anchors)


def run(options: argparse.Namespace) -> int:
    """Run the command's own command."""
    return int(options.measure(options))


def measure_anchors(options: argparse.Namespace) -> int:
    """Match the boxes with the planned anchors; print, and draw when asked."""
    import attrs

    import ssdreg
    from ssdreg.anchor_picture import draw_anchors
    from ssdreg.anchor_report import FITTED, GIVEN, report, to_dict, to_text
    from ssdreg.anchors import DEFAULT_SIZES, HEAD_SIZES
    from ssdreg.data import describe_problems
    from ssdreg.data.boxes import boxes
    settings = arguments.overrides(options)
    own = HEAD_SIZES if ssdreg.get_head(options.head).defaults.cells else DEFAULT_SIZES
    asked = settings.pop("sizes", own)
    if asked != FITTED:
        settings["sizes"] = asked
    # a detector that cannot be is refused before the data are read
    plan = ssdreg.plan(options.backbone, 1, options.data_shape, options.head, **settings)
    source = _open(options.data, options.split)
    if source.problems:
        print(describe_problems(source.problems), file=sys.stderr)
    plan = attrs.evolve(plan, num_classes=len(source.classes))
    found = report(boxes(source), source.classes, plan,
                   asked if isinstance(asked, str) else GIVEN)
    if options.out:
        draw_anchors(found.boxes, found.plan, found.matching, options.out,
                     f"{options.data.resolve().name}: {found.statistics.boxes:,} boxes\n"
                     f"anchors of {plan.backbone} at {plan.data_shape[0]}x{plan.data_shape[1]}, "
                     f"sizes: {found.chosen}")
        print(f"drawn: {options.out}", file=sys.stderr)
    print(to_json(to_dict(found), indent=2) if options.json
          else to_text(found))
    return 0


def _open(path: Path, split: str | None) -> Packed | Dataset:
    """Open what a run would train on, without packing it."""
    from ssdreg.data import open_rec, read_voc, splits
    chosen = splits.choose(path, split).train_split
    return open_rec(path) if path.suffix == ".rec" else read_voc(path, chosen)
