"""``ssdreg list``: what is registered."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ssdreg_runtime.system.tables import markdown_table, text_table

from ssdreg.errors import UnknownNameError
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import list_backbones, list_detectors, list_heads

NAME = "list"
SUMMARY = "list the registered backbones, heads, and detectors that come with weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN",
                        help="only those whose name, or another name of theirs, is like this: "
                             "'resnet*', '*coco'; all by default")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON for machines")
    form.add_argument("--markdown", action="store_true",
                      help="print the backbones as a Markdown table")


def run(options: argparse.Namespace) -> int:
    """Print backbones, heads and detectors."""
    backbones = [backbone for backbone in list_backbones()
                 if _is_meant(options.patterns, backbone.name, *backbone.aliases)]
    heads = [head for head in list_heads() if _is_meant(options.patterns, head.name)]
    detectors = [detector for detector in list_detectors()
                 if _is_meant(options.patterns, detector.name, *detector.aliases)]
    if not (backbones or heads or detectors):
        raise UnknownNameError(f"nothing is called like {' or '.join(options.patterns)}: `ssdreg "
                               f"list` shows all names")
    if options.json:
        print(json.dumps({
            "backbones": [{"name": backbone.name, "aliases": list(backbone.aliases),
                           "family": backbone.family, "depth": backbone.depth,
                           "paper": backbone.paper,
                           "tap_strides": list(backbone.tap_strides),
                           "taps": [{"stage": tap.stage, "stride": tap.stride,
                                     "channels": tap.channels, "node": tap.node}
                                    for tap in backbone.taps]} for backbone in backbones],
            "heads": [{"name": head.name, "summary": head.summary, "paper": head.paper}
                      for head in heads],
            "detectors": [{"name": detector.name, "aliases": list(detector.aliases),
                           "backbone": detector.backbone, "head": detector.head,
                           "classes": list(detector.classes), "about": detector.about}
                          for detector in detectors]}, indent=2))
        return 0
    if options.markdown:
        print(markdown_table(HEADER[:3], [row(backbone)[:3] for backbone in backbones]))
        return 0
    tables: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = [
        (HEADER, [row(backbone) for backbone in backbones]),
        (("head", "what it is", "paper"), [(head.name, head.summary, head.paper)
                                           for head in heads]),
        (("detector with weights", "backbone", "classes", "what it is"), [
            (detector.name, detector.backbone or UNSAID, str(len(detector.classes)),
             detector.about) for detector in detectors])]
    print("\n\n".join(text_table(header, rows) for header, rows in tables if rows))
    return 0


def _is_meant(patterns: Sequence[str], *names: str) -> bool:
    """Tell whether one of the names is like one of the patterns; without any all are meant."""
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


#: Stands for the backbone of a detector whose file says what it is.
UNSAID = "-"
HEADER = ("backbone", "family", "detection taps (stride: node, channels)", "paper")


def row(backbone: Backbone) -> tuple[str, ...]:
    """Return a backbone's line: name, family, the taps that feed detection, paper.

    Taps that are not declared stay unknown here: finding them means building the network.
    """
    taps = [tap for tap in backbone.taps if tap.stride in backbone.tap_strides]
    return (backbone.name, backbone.family,
            "; ".join(f"{tap.stride}: {tap.node}, {tap.channels}" for tap in taps)
            or "found from the graph",
            backbone.paper)
