"""``ssdreg list``: what is registered."""

from __future__ import annotations

import argparse
import json

from ssdreg_runtime.system.tables import markdown_table, text_table

from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import list_backbones, list_detectors, list_heads

NAME = "list"
SUMMARY = "list the registered backbones, heads, and detectors that come with weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON for machines")
    form.add_argument("--markdown", action="store_true",
                      help="print the backbones as a Markdown table")


def run(options: argparse.Namespace) -> int:
    """Print backbones, heads and detectors."""
    if options.json:
        print(json.dumps({
            "backbones": [{"name": backbone.name, "aliases": list(backbone.aliases),
                           "family": backbone.family, "depth": backbone.depth,
                           "paper": backbone.paper,
                           "tap_strides": list(backbone.tap_strides),
                           "taps": [{"stage": tap.stage, "stride": tap.stride,
                                     "channels": tap.channels, "node": tap.node}
                                    for tap in backbone.taps]} for backbone in list_backbones()],
            "heads": [{"name": head.name, "summary": head.summary, "paper": head.paper}
                      for head in list_heads()],
            "detectors": [{"name": detector.name, "aliases": list(detector.aliases),
                           "backbone": detector.backbone, "head": detector.head,
                           "classes": list(detector.classes), "about": detector.about}
                          for detector in list_detectors()]}, indent=2))
        return 0
    if options.markdown:
        print(markdown_table(HEADER[:3], [row(backbone)[:3] for backbone in list_backbones()]))
        return 0
    print(text_table(HEADER, [row(backbone) for backbone in list_backbones()]))
    print()
    print(text_table(("head", "what it is", "paper"),
                     [(head.name, head.summary, head.paper) for head in list_heads()]))
    detectors = list_detectors()
    if detectors:
        print()
        print(text_table(("detector with weights", "backbone", "classes", "what it is"), [
            (detector.name, detector.backbone or UNSAID, str(len(detector.classes)),
             detector.about) for detector in detectors]))
    return 0


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
