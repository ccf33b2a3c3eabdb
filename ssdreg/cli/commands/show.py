"""``ssdreg show``: what a backbone is made of, and the levels a detector takes from it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from ssdreg_runtime.system.tables import text_table

from ssdreg.cli.commands import arguments
from ssdreg.detector.overrides import UNUSED

if TYPE_CHECKING:
    from ssdreg.detector.plan import Plan
    from ssdreg.graph.coverage import TapChoice
    from ssdreg.graph.summary import Anatomy, Part, Stage
    from ssdreg.registry.backbone import StopsAt

NAME = "show"
SUMMARY = "show a backbone's stages, what they weigh and cost, its taps, and the plan's levels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("backbone", help="a name from `ssdreg list`")
    parser.add_argument("--num-classes", type=int, default=20, metavar="N",
                        help="how many classes, without background")
    arguments.add_detector(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Take the backbone apart, plan the detector, and print both."""
    from ssdreg.detector.build import design
    from ssdreg.detector.overrides import Overrides
    from ssdreg.graph.coverage import choose
    from ssdreg.graph.summary import dissect
    detector = design(options.backbone, options.num_classes, options.data_shape, options.head,
                      Overrides(**arguments.overrides(options)))
    plan, backbone, graph = detector.plan, detector.sized.backbone, detector.sized.graph
    anatomy = dissect(graph, plan.data_shape, backbone.taps)
    choice = choose(graph, anatomy, plan.taps)
    chosen = set(backbone.nodes_at(plan.data_shape))
    # the reason for the backbone's own choice of taps holds for no other choice
    stop = backbone.stops_at if set(plan.taps) == chosen else None
    print(json.dumps(_for_machines(anatomy, choice, plan, stop), indent=2) if options.json
          else _for_people(anatomy, choice, plan, stop))
    return 0


def _for_people(anatomy: Anatomy, choice: TapChoice, plan: Plan, stop: StopsAt | None) -> str:
    height, width = plan.data_shape
    parts: list[tuple[str, Part | Stage | Anatomy]] = [
        *((str(stage.number), stage) for stage in anatomy.stages),
        *((name, part) for name, part in (("last layers", anatomy.tail),
                                          ("classifier", anatomy.classifier))
          if part.parameters or part.multiply_adds),
        ("total", anatomy)]
    stages = _table(
        ("stage", "stride", "cells", "channels", "blocks", "parameters", "share",
         "multiply-adds", "share", "tap"),
        [(name, *_place(part), f"{part.parameters:,}",
          _share(part.parameters, anatomy.parameters),
          f"{part.multiply_adds / 1e6:,.1f} M", _share(part.multiply_adds, anatomy.multiply_adds),
          _tap(part, plan)) for name, part in parts], right=range(1, 9))
    levels = _table(
        ("level", "from", "cells", "channels", "anchors a cell", "anchors", "sizes", "ratios"),
        [(str(index), _source(index, plan), f"{level.height}x{level.width}",
          f"{level.channels}", f"{level.anchors_per_cell}", f"{level.anchors:,}",
          " ".join(f"{size:.3g}" for size in plan.sizes[index]),
          " ".join(f"{ratio:.3g}" for ratio in plan.ratios[index]))
         for index, level in enumerate(plan.levels)], right=range(2, 6))
    on_purpose = (f"\nit stops at stride {stop.stride} on purpose: {stop.reason}" if stop else "")
    return (f"{plan.backbone} at {height}x{width}: {anatomy.parameters:,} parameters, "
            f"{anatomy.multiply_adds / 1e9:,.2f} G multiply-adds\n{stages}\n\n"
            f"{plan.head} on it, {plan.num_classes} classes: {plan.anchors:,} anchors; "
            f"the taps use {choice.share:.1%} of the backbone's weights"
            f"{on_purpose}\n{levels}")


def _place(part: Part | Stage | Anatomy) -> tuple[str, str, str, str]:
    """Return stride, cells, channels and blocks of a stage; the other rows have none."""
    from ssdreg.graph.summary import Stage
    if not isinstance(part, Stage):
        return ("", "", "", "")
    return (str(part.stride), f"{part.end.height}x{part.end.width}", str(part.end.channels),
            str(len(part.blocks)))


def _tap(part: Part | Stage | Anatomy, plan: Plan) -> str:
    """Name a stage's tap, and the level it feeds."""
    from ssdreg.graph.summary import Stage
    if not isinstance(part, Stage) or not part.tap:
        return ""
    node = part.end.node
    feeds = f", feeds level {plan.taps.index(node)}" if node in plan.taps else ""
    return f"{node}{feeds}"


def _source(index: int, plan: Plan) -> str:
    """Say where a level comes from."""
    if not plan.levels[index].node:
        return "level before"
    projected = plan.projections and plan.projections[index] != UNUSED
    return f"{plan.levels[index].node}{', projected' if projected else ''}"


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if whole else "-"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: range) -> str:
    """Write a table for a terminal whose columns in `right` hold numbers, aligned as such."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    aligned = [tuple(cell.rjust(width) if column in right else cell
                     for column, (cell, width) in enumerate(zip(line, widths))) for line in lines]
    return text_table(aligned[0], aligned[1:])


def _for_machines(anatomy: Anatomy, choice: TapChoice, plan: Plan,
                  stop: StopsAt | None) -> dict[str, Any]:
    def weight(part: Part | Stage | Anatomy) -> dict[str, int]:
        return {"parameters": part.parameters, "multiply_adds": part.multiply_adds}

    stages = [{"stage": stage.number, "stride": stage.stride, "height": stage.end.height,
               "width": stage.end.width, "channels": stage.end.channels, **weight(stage),
               "node": stage.end.node, "tap": stage.tap, "detects": stage.end.node in plan.taps,
               "blocks": [{"node": block.node, "channels": block.channels,
                           "height": block.height, "width": block.width, **weight(block)}
                          for block in stage.blocks]} for stage in anatomy.stages]
    return {"backbone": plan.backbone, "data_shape": list(plan.data_shape), **weight(anatomy),
            "stages": stages, "last_layers": weight(anatomy.tail),
            "classifier": weight(anatomy.classifier), "weights_used": choice.weights_used,
            "weights": choice.weights, "stops_at": attrs.asdict(stop) if stop else None,
            "plan": {**attrs.asdict(plan),
                     "levels": [{**attrs.asdict(level), "anchors": level.anchors}
                                for level in plan.levels]}}
