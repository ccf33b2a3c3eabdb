"""A diagram of a backbone: stages as rows, blocks as boxes, taps, and the levels they feed.

The content is decided here, its places in `ssdreg.drawing.layout`.
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
    BlockCell,
    BoxStyle,
    Flag,
    Header,
    LegendItem,
    LevelLabel,
    StageRow,
    lay_out,
)
from ssdreg.graph.coverage import Mark, TapChoice
from ssdreg.graph.summary import Anatomy, Part, Stage

MAX_LINE_BLOCKS = 16  # boxes in a line, at most


class _FeatureMap(Protocol):
    """A feature map's height, width and channels."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def channels(self) -> int: ...


def draw_anatomy(anatomy: Anatomy, plan: Plan, choice: TapChoice,
                 compared: TapChoice | None = None) -> Picture:
    """Draw a network, the taps that feed a plan's levels, and the levels.

    `choice` are the plan's taps on this anatomy. `compared` is another choice, drawn beside it:
    the blocks that it leaves unused are hatched.
    """
    rows = [_stage_row(position, stage, anatomy, plan, choice, compared)
            for position, stage in enumerate(anatomy.stages)]
    rows.append(_classifier_row(anatomy, plan, choice, compared))
    return lay_out(_header(anatomy, plan, choice, compared), rows, _level_labels(plan))


def shorten(count: int) -> str:
    """Write a count with three digits: 25.6 M, 812 k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # what rounds up to the next unit is written in that
        if count >= size * 0.9995:
            return f"{count / size:#.3g}".rstrip(".") + f" {unit}"
    return str(count)


def _header(anatomy: Anatomy, plan: Plan, choice: TapChoice, compared: TapChoice | None) -> Header:
    height, width = plan.data_shape
    subtitle = (f"{shorten(anatomy.parameters)} parameters, "
                f"{shorten(anatomy.multiply_adds)} multiply-adds. "
                f"A row is a stage, a box a block, from left to right.")
    if compared is None:
        legend = (LegendItem(DETECTS, "tap that feeds detection"),
                  LegendItem(STAGE_END, "end of another stage"),
                  LegendItem(PLAIN, "block on the way to a tap"),
                  LegendItem(ABSENT, "not part of the detector"))
        return Header(f"{plan.backbone}, input {height}×{width}", subtitle, (legend,))
    return Header(f"{plan.backbone}, input {height}×{width}: two choices of taps", subtitle, (
        (LegendItem(DETECTS, _weight_share_text("right", choice)),),
        (LegendItem(WRONG, _weight_share_text("compared", compared)),),
        (LegendItem(THROWN_AWAY, "thrown away by the compared taps"),
         LegendItem(PLAIN, "used by the compared taps too"),
         LegendItem(STAGE_END, "end of another stage"),
         LegendItem(ABSENT, "not part of either detector"))))


def _weight_share_text(name: str, choice: TapChoice) -> str:
    """Return the sentence on the share of the weights that a choice of taps uses."""
    taps = ", ".join(mark.node for mark in choice.marks)
    uses = "uses" if len(choice.marks) == 1 else "use"
    return (f"{name}: {taps} {uses} {choice.share:.0%} of the backbone's weights "
            f"({shorten(choice.weights_used)})")


def _stage_row(position: int, stage: Stage, anatomy: Anatomy, plan: Plan, choice: TapChoice,
               compared: TapChoice | None) -> StageRow:
    cells = [_block_cell(str(index + 1), block, (position, index), anatomy, plan, choice, compared)
             for index, block in enumerate(stage.blocks)]
    last = cells[-1]
    if stage.tap and last.level is None:
        style = STAGE_END if last.style == PLAIN else last.style
        cells[-1] = BlockCell(last.text, style, (
            Flag(f"{stage.end.node}: {_size_text(stage.end)}", MUTED), *last.flags))
    count = "1 block" if len(cells) == 1 else f"{len(cells)} blocks"
    return StageRow(f"stage {stage.number}, stride {stage.stride}",
                    (f"{count}, {shorten(stage.multiply_adds)} multiply-adds",
                     _parameter_text(stage.parameters, anatomy)), _wrap(cells))


def _classifier_row(anatomy: Anatomy, plan: Plan, choice: TapChoice, compared: TapChoice | None
                    ) -> StageRow:
    """Return the row behind the stages: the layers after the last stage, and the classifier."""
    position = len(anatomy.stages), 0
    cells = []
    marks = _marks_in_block(choice, position) + _marks_in_block(compared, position)
    if anatomy.tail.parameters or marks:
        cells.append(_block_cell("", anatomy.tail, position, anatomy, plan, choice, compared))
    cells.append(BlockCell("", ABSENT))
    parameters = anatomy.tail.parameters + anatomy.classifier.parameters
    cost = anatomy.tail.multiply_adds + anatomy.classifier.multiply_adds
    return StageRow("classifier" if len(cells) == 1 else "last layers, classifier",
                    (f"{shorten(cost)} multiply-adds", _parameter_text(parameters, anatomy)),
                    (tuple(cells),))


def _parameter_text(parameters: int, anatomy: Anatomy) -> str:
    share = parameters / anatomy.parameters if anatomy.parameters else 0.0
    small = 0 < share < 0.005
    return f"{shorten(parameters)} parameters ({'under 1%' if small else f'{share:.0%}'})"


def _block_cell(text: str, part: Part, position: tuple[int, int], anatomy: Anatomy, plan: Plan,
                choice: TapChoice, compared: TapChoice | None) -> BlockCell:
    marks, compared_marks = _marks_in_block(choice, position), _marks_in_block(compared, position)
    flags = [Flag(f"{mark.node}: {_size_text(mark)}", DERIVED, bold=True) for mark in marks]
    flags += [Flag(f"{mark.node}: {_size_text(mark)}{_left_out_text(mark, anatomy)}", COMPARED,
                   bold=True) for mark in compared_marks]
    return BlockCell(text, _box_style(part, marks, compared_marks, choice, compared), tuple(flags),
                     plan.taps.index(marks[0].node) if marks else None)


def _box_style(part: Part, marks: list[Mark], compared_marks: list[Mark], choice: TapChoice,
               compared: TapChoice | None) -> BoxStyle:
    if marks or compared_marks:
        return DETECTS if not compared_marks else BOTH if marks else WRONG
    if compared is not None:
        if compared.uses(part):
            return PLAIN
        return THROWN_AWAY if choice.uses(part) else ABSENT
    return PLAIN if choice.uses(part) else ABSENT


def _marks_in_block(choice: TapChoice | None, position: tuple[int, int]) -> list[Mark]:
    """Return the taps of a choice in the block at `position`: its stage's index, and its own."""
    if choice is None:
        return []
    return [mark for mark in choice.marks if (mark.stage, mark.block) == position]


def _left_out_text(mark: Mark, anatomy: Anatomy) -> str:
    """Return the text on the rest of its block and stage that a compared tap leaves out."""
    left_out = []
    if mark.inside:
        left_out.append("inside the block")
    if mark.stage < len(anatomy.stages):
        more = len(anatomy.stages[mark.stage].blocks) - 1 - mark.block
        if more:
            left_out.append(f"{more} more block{'s' if more > 1 else ''} in its stage")
    return "".join(f", {part}" for part in left_out)


def _wrap(cells: list[BlockCell]) -> tuple[tuple[BlockCell, ...], ...]:
    """Split a stage into as few lines as it needs, of about equal length."""
    length = math.ceil(len(cells) / math.ceil(len(cells) / MAX_LINE_BLOCKS))
    return tuple(tuple(cells[start:start + length]) for start in range(0, len(cells), length))


def _size_text(end: _FeatureMap) -> str:
    return f"{end.height}×{end.width} × {end.channels}"


def _level_labels(plan: Plan) -> tuple[LevelLabel, ...]:
    """Return the text in the box of each level."""
    projections = plan.projections or (UNUSED,) * len(plan.levels)
    return tuple(LevelLabel(f"level {index}: {_size_text(level)}"
                            + ("" if projections[index] == UNUSED else ", projected"),
                            f"{level.anchors:,} anchors, {level.anchors_per_cell} a cell",
                            behind=not level.node) for index, level in enumerate(plan.levels))
