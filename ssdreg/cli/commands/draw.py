"""``ssdreg draw``: a backbone's stages, blocks, taps and detection levels as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg.cli.commands import arguments

NAME = "draw"
SUMMARY = "draw a backbone with its taps, the levels they feed, and other taps to compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("backbone", help="a name from `ssdreg list`")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE",
                        help="the picture to write: .svg or .png")
    parser.add_argument("--data-shape", type=arguments.shape, default=arguments.DATA_SHAPE,
                        metavar="SIDE|HxW", help="the network's input in pixels")
    parser.add_argument("--tap-strides", type=arguments.numbers, metavar="STRIDES",
                        help="the taps that feed detection, by stride: 8,16,32")
    parser.add_argument("--compare", type=_names, metavar="NODES",
                        help="other nodes to draw as taps, beside the right ones, and what of the "
                             "network they throw away: _plus12,_plus15")


def run(options: argparse.Namespace) -> int:
    """Take the backbone apart, find the taps on it, and write the picture."""
    from ssdreg.detector.build import design
    from ssdreg.detector.overrides import Overrides
    from ssdreg.drawing.canvas import check_format, write_picture
    from ssdreg.drawing.diagram import draw_anatomy
    from ssdreg.graph.coverage import choose
    from ssdreg.graph.summary import dissect
    check_format(options.out)
    detector = design(options.backbone, data_shape=options.data_shape,
                      overrides=Overrides(tap_strides=options.tap_strides))
    plan, graph = detector.plan, detector.sized.graph
    anatomy = dissect(graph, plan.data_shape, detector.sized.backbone.taps)
    choice = choose(graph, anatomy, plan.taps)
    compared = None if options.compare is None else choose(graph, anatomy, options.compare)
    write_picture(draw_anatomy(anatomy, plan, choice, compared), options.out)
    print(f"written: {options.out}")
    return 0


def _names(text: str) -> tuple[str, ...]:
    """Read ``_plus12,_plus15``; as in from_layers, an empty entry is a level behind the taps."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
