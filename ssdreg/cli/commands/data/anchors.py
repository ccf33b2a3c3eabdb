"""``ssdreg data anchors``: the boxes of a data set against the anchors of a detector."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.system.console import to_json
from ssdreg_runtime.system.names import as_path

from ssdreg.cli.commands import arguments
from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.data.splits import DataSpec
    from ssdreg.detector.plan import Plan

NAME = "anchors"
SUMMARY = "show which boxes the anchors match that would be trained, beside other sizes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--data", type=Path, metavar="DIR|REC",
                        help=f"{arguments.DATA}; with --run, what the run was trained on by "
                             f"default")
    parser.add_argument("--split", help="the split to measure; by default what `ssdreg train` "
                                        "would train on")
    arguments.add_data_format(parser)
    parser.add_argument("--backbone", help="a name from `ssdreg list`")
    parser.add_argument("--run", dest="trained", type=Path, metavar="RUN",
                        help="measure the anchors of this run instead of a backbone's")
    arguments.add_detector(parser)
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="draw boxes, anchors and shares into this picture")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Match the boxes with the anchors that would be trained; print, and draw when sizes."""
    import attrs

    from ssdreg.anchors.report import report, to_dict, to_text
    from ssdreg.data import describe_issues, splits
    from ssdreg.data.boxes import boxes
    from ssdreg.drawing.anchors import draw_anchors
    # a detector that cannot be is refused before the data are read
    plan, scheme, data = _planned(options)
    source = splits.read_training(data)
    if source.issues:
        print(describe_issues(source.issues), file=sys.stderr)
    plan = attrs.evolve(plan, num_classes=len(source.classes))
    measured = splits.describe_training(data)
    figures = report(boxes(source), source.classes, plan, scheme)
    if options.out:
        draw_anchors(figures.boxes, figures.plan, figures.matching, options.out,
                     f"{as_path(data.train).name}: {figures.statistics.boxes:,} boxes\n"
                     f"anchors of {plan.backbone} at {plan.data_shape[0]}x{plan.data_shape[1]}, "
                     f"sizes: {figures.chosen}")
        print(f"drawn: {options.out}", file=sys.stderr)
    print(to_json({"data": measured, **to_dict(figures)}, indent=2) if options.json
          else f"{measured}\n{to_text(figures)}")
    return 0


def _planned(options: argparse.Namespace) -> tuple[Plan, str, DataSpec]:
    """Return the plan, the scheme of its anchor sizes, and the data that it is to be trained on.

    As training does, sizes are fitted to the boxes unless they are given.
    """
    import ssdreg
    from ssdreg.anchors.report import FITTED, GIVEN
    from ssdreg.data import splits
    if (options.backbone is None) == (options.trained is None):
        raise SsdregError("name a --backbone or a --run, one of the two")
    if options.trained is not None:
        return _of_run(options)
    if options.data is None:
        raise SsdregError("--data is needed: a --backbone alone has no boxes to be measured on")
    settings = arguments.overrides(options)
    sizes = settings.pop("sizes", FITTED)
    if sizes != FITTED:
        settings["sizes"] = sizes
    plan = ssdreg.plan(options.backbone, 1, options.data_shape, options.head, **settings)
    return (plan, sizes if isinstance(sizes, str) else GIVEN,
            splits.only(options.data, options.split, arguments.data_format(options)))


def _of_run(options: argparse.Namespace) -> tuple[Plan, str, DataSpec]:
    """Return the plan of a run with its own anchors, and its data unless others are named."""
    from ssdreg.anchors.report import GIVEN
    from ssdreg.data import splits
    from ssdreg.runs.run import open_run
    from ssdreg.training import state
    if arguments.overrides(options):
        raise SsdregError("--tap-strides, --sizes and --loss go with --backbone: a run has its own")
    run, named = open_run(options.trained), arguments.data_format(options)
    if options.data is not None:
        return run.plan, GIVEN, splits.only(options.data, options.split, named)
    if options.split is not None:
        raise SsdregError("--split names a split of --data: give --data too")
    return run.plan, GIVEN, state.load_source(run)
