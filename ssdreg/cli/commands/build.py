"""``ssdreg build``: a detector's symbol, written to a file, with its plan."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg_runtime.system.tables import text_table

from ssdreg.cli.commands import arguments

NAME = "build"
SUMMARY = "derive and verify a detector's plan, show it, and write its symbol"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("backbone", help="a name from `ssdreg list`")
    parser.add_argument("--num-classes", type=int, default=20, metavar="N",
                        help="how many classes, without background")
    arguments.add_detector(parser)
    parser.add_argument("--mode", default="train", choices=("train", "deploy"),
                        help="with losses, or with detections only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the symbol here as JSON")


def run(options: argparse.Namespace) -> int:
    """Build, show the levels, and write the symbol when asked."""
    from ssdreg.detector.build import design
    from ssdreg.detector.overrides import Overrides
    from ssdreg.runs.run import save_symbol
    detector = design(options.backbone, options.num_classes, options.data_shape, options.head,
                      Overrides(**arguments.overrides(options)))
    detector.verify()
    plan, symbol = detector.plan, detector.symbol(options.mode)
    print(f"{plan.backbone} with {plan.head} at {plan.data_shape[0]}x{plan.data_shape[1]}, "
          f"{plan.num_classes} classes: {plan.anchors:,} anchors, taps verified")
    print(text_table(
        ("level", "from", "channels", "cells", "anchors", "sizes", "ratios"),
        [(str(index), level.node or "level before", str(level.channels),
          f"{level.height}x{level.width}", f"{level.anchors:,}",
          " ".join(f"{size:.3g}" for size in plan.sizes[index]),
          " ".join(f"{ratio:.3g}" for ratio in plan.ratios[index]))
         for index, level in enumerate(plan.levels)]))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_symbol(options.out, symbol)
        print(f"written: {options.out}")
    return 0
