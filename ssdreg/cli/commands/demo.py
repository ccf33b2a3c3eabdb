"""``ssdreg demo``: the whole pipeline in a few minutes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

NAME = "demo"
SUMMARY = "draw a data set, train on it, look at the result, and tell the story of the taps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR",
                        help="where data, run and pictures go")


def run(options: argparse.Namespace) -> int:
    """Run it all; the exit status is 1 when the mAP is missed."""
    from ssdreg_runtime.system.tables import text_table

    from ssdreg.cli.progress import Console
    from ssdreg.compat.mxnet_package import require
    from ssdreg.progress import Note
    from ssdreg.scaffold import demo
    require()  # before anything is printed
    console, out, began = Console(), options.out, time.monotonic()

    def show(event: object) -> None:
        # the heading above describes the run already
        if not isinstance(event, Note):
            console(event)

    print("1. The story: ResNet-101 with the taps that were copied from ResNet-50")
    print(text_table(("network", "taps", "parameters", "file"),
                     [(network.network, ", ".join(network.taps), f"{network.parameters:,}",
                       f"{network.mebibytes:.1f} MiB") for network in demo.story()]))
    print(f"   ssdreg refuses the copied taps:\n{demo.refusal()}\n")
    print(f"2. Training {demo.BACKBONE.name} at {demo.SHAPE}x{demo.SHAPE} on drawn shapes")
    best = demo.train_on_shapes(out, progress=show)
    print(f"\n3. Pictures: {out / 'predictions.png'}, {out / 'curves.png'}")
    reached = best >= demo.TARGET_MAP
    print(f"mAP {best:.3f} {'reached' if reached else 'MISSED'} the {demo.TARGET_MAP:.2f} hoped "
          f"for, in {(time.monotonic() - began) / 60:.1f} minutes")
    return 0 if reached else 1
