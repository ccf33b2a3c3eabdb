"""A backbone drawn: stages as rows, blocks as boxes, taps, and the levels hanging off them.

What there is to draw is decided here, where it goes in `ssdreg.drawing.layout`.
"""

from __future__ import annotations

import math
from typing import Protocol

from ssdreg.detector.overrides import UNUSED
from ssdreg.detector.plan import Plan
from ssdreg.drawing.canvas import Picture
from ssdreg.drawing.layout import (
    ABSENT,
    BOTH,
    COMPARED,
    DERIVED,
    DETECTS,
    MUTED,
    PLAIN,
    STAGE_END,
    THROWN_AWAY,
    WRONG,
    Cell,
    Entry,
    Flag,
    Header,
    Look,
    Outlet,
    Row,
    lay_out,
)
from ssdreg.graph.coverage import Choice, Mark
from ssdreg.graph.summary import Anatomy, Part, Stage

LINE_BLOCKS = 16  # boxes in a line, at most


class _Map(Protocol):
    """What has the size of a feature map."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def channels(self) -> int: ...


def draw_anatomy(anatomy: Anatomy, plan: Plan, choice: Choice,
                 compared: Choice | None = None) -> Picture:
    """Draw a network, the taps that feed a plan's levels, and the levels.

    `choice` are the plan's taps on this anatomy. `compared` is another choice, drawn beside it:
    what of the network it throws away is hatched.
    """
    rows = [_row(position, stage, anatomy, plan, choice, compared)
            for position, stage in enumerate(anatomy.stages)]
    rows.append(_behind(anatomy, plan, choice, compared))
    return lay_out(_header(anatomy, plan, choice, compared), rows, _outlets(plan))


def shorten(count: int) -> str:
    """Write a count with three digits: 25.6 M, 812 k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # what rounds up to the next unit is written in that
        if count >= size * 0.9995:
            return f"{count / size:#.3g}".rstrip(".") + f" {unit}"
    return str(count)


def _header(anatomy: Anatomy, plan: Plan, choice: Choice, compared: Choice | None) -> Header:
    height, width = plan.data_shape
    subtitle = (f"{shorten(anatomy.parameters)} parameters, "
                f"{shorten(anatomy.multiply_adds)} multiply-adds. "
                f"A row is a stage, a box a block, from left to right.")
    if compared is None:
        legend = (Entry(DETECTS, "tap that feeds detection"),
                  Entry(STAGE_END, "end of another stage"),
                  Entry(PLAIN, "block on the way to a tap"),
                  Entry(ABSENT, "not part of the detector"))
        return Header(f"{plan.backbone}, input {height}×{width}", subtitle, (legend,))
    return Header(f"{plan.backbone}, input {height}×{width}: two choices of taps", subtitle, (
        (Entry(DETECTS, _use("right", choice)),),
        (Entry(WRONG, _use("compared", compared)),),
        (Entry(THROWN_AWAY, "thrown away by the compared taps"),
         Entry(PLAIN, "used by the compared taps too"),
         Entry(STAGE_END, "end of another stage"),
         Entry(ABSENT, "not part of either detector"))))


def _use(name: str, choice: Choice) -> str:
    """Say what share of the weights a choice of taps uses."""
    taps = ", ".join(mark.node for mark in choice.marks)
    uses = "uses" if len(choice.marks) == 1 else "use"
    return (f"{name}: {taps} {uses} {choice.share:.0%} of the backbone's weights "
            f"({shorten(choice.weights_used)})")


def _row(position: int, stage: Stage, anatomy: Anatomy, plan: Plan, choice: Choice,
         compared: Choice | None) -> Row:
    cells = [_cell(str(index + 1), block, (position, index), anatomy, plan, choice, compared)
             for index, block in enumerate(stage.blocks)]
    last = cells[-1]
    if stage.tap and last.level is None:
        look = STAGE_END if last.look == PLAIN else last.look
        cells[-1] = Cell(last.text, look, (
            Flag(f"{stage.end.node}: {_size(stage.end)}", MUTED), *last.flags))
    count = "1 block" if len(cells) == 1 else f"{len(cells)} blocks"
    return Row(f"stage {stage.number}, stride {stage.stride}",
               (f"{count}, {shorten(stage.multiply_adds)} multiply-adds",
                _weight(stage.parameters, anatomy)), _wrapped(cells))


def _behind(anatomy: Anatomy, plan: Plan, choice: Choice, compared: Choice | None) -> Row:
    """Return the row of what no stage holds: maps behind the last one, and the classifier."""
    place = len(anatomy.stages), 0
    cells = []
    if anatomy.tail.parameters or _at(choice, place) or _at(compared, place):
        cells.append(_cell("", anatomy.tail, place, anatomy, plan, choice, compared))
    cells.append(Cell("", ABSENT))
    parameters = anatomy.tail.parameters + anatomy.classifier.parameters
    cost = anatomy.tail.multiply_adds + anatomy.classifier.multiply_adds
    return Row("classifier" if len(cells) == 1 else "last layers, classifier",
               (f"{shorten(cost)} multiply-adds", _weight(parameters, anatomy)), (tuple(cells),))


def _weight(parameters: int, anatomy: Anatomy) -> str:
    share = parameters / anatomy.parameters if anatomy.parameters else 0.0
    small = 0 < share < 0.005
    return f"{shorten(parameters)} parameters ({'under 1%' if small else f'{share:.0%}'})"


def _cell(text: str, part: Part, place: tuple[int, int], anatomy: Anatomy, plan: Plan,
          choice: Choice, compared: Choice | None) -> Cell:
    right, wrong = _at(choice, place), _at(compared, place)
    flags = [Flag(f"{mark.node}: {_size(mark)}", DERIVED, bold=True) for mark in right]
    flags += [Flag(f"{mark.node}: {_size(mark)}{_unfinished(mark, anatomy)}", COMPARED, bold=True)
              for mark in wrong]
    return Cell(text, _look(part, right, wrong, choice, compared), tuple(flags),
                plan.taps.index(right[0].node) if right else None)


def _look(part: Part, right: list[Mark], wrong: list[Mark], choice: Choice,
          compared: Choice | None) -> Look:
    if right or wrong:
        return DETECTS if not wrong else BOTH if right else WRONG
    if compared is not None:
        if compared.uses(part):
            return PLAIN
        return THROWN_AWAY if choice.uses(part) else ABSENT
    return PLAIN if choice.uses(part) else ABSENT


def _at(choice: Choice | None, place: tuple[int, int]) -> list[Mark]:
    """Return the taps of a choice in one block, placed by the positions of stage and block."""
    if choice is None:
        return []
    return [mark for mark in choice.marks if (mark.stage, mark.block) == place]


def _unfinished(mark: Mark, anatomy: Anatomy) -> str:
    """Say what of its block and stage a compared tap leaves out."""
    left_out = []
    if mark.inside:
        left_out.append("inside the block")
    if mark.stage < len(anatomy.stages):
        more = len(anatomy.stages[mark.stage].blocks) - 1 - mark.block
        if more:
            left_out.append(f"{more} more block{'s' if more > 1 else ''} in its stage")
    return "".join(f", {each}" for each in left_out)


def _wrapped(cells: list[Cell]) -> tuple[tuple[Cell, ...], ...]:
    """Cut a stage into as few lines as it needs, all about equally long."""
    length = math.ceil(len(cells) / math.ceil(len(cells) / LINE_BLOCKS))
    return tuple(tuple(cells[start:start + length]) for start in range(0, len(cells), length))


def _size(end: _Map) -> str:
    return f"{end.height}×{end.width} × {end.channels}"


def _outlets(plan: Plan) -> tuple[Outlet, ...]:
    """Return what is written into the box of each level."""
    projections = plan.projections or (UNUSED,) * len(plan.levels)
    return tuple(Outlet(f"level {index}: {_size(level)}"
                        + ("" if projections[index] == UNUSED else ", projected"),
                        f"{level.anchors:,} anchors, {level.anchors_per_cell} a cell",
                        behind=not level.node) for index, level in enumerate(plan.levels))
