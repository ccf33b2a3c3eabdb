"""The layout of a backbone's picture: rows of boxes on the left, levels on the right.

Texts are measured before anything is placed, and the picture is as wide as they need, so that
nothing is cut and nothing overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from ssdreg.drawing.canvas import POINTS, Picture, Polyline, Rectangle, Text, text_width

# blue and vermilion of Okabe and Ito's palette, which people with any sight tell apart
DERIVED, DERIVED_LIGHT, COMPARED = "#0072B2", "#CCE3F0", "#D55E00"
INK, MUTED, FAINT = "#1F2933", "#52606D", "#9AA5B1"
BLOCK, PAPER = "#E4E9EE", "#FFFFFF"

# inches
MARGIN, GAP, ROW_GAP = 0.2, 0.35, 0.2
SIDE, PITCH = 0.27, 0.32  # of a block's box; from one to the next
LEADING = 0.165  # from one line of text to the next
STUB, FLAG = 0.09, 0.13  # from a box's middle: the end of the line to its flag; the flag
SWATCH_WIDTH, SWATCH_HEIGHT, INDENT = 0.2, 0.13, 0.28  # of the legend; from a swatch to its text
LEVEL_HEIGHT, LEVEL_PAD, LEVEL_GAP = 0.44, 0.1, 0.2
# points
TITLE_SIZE, TEXT_SIZE, NUMBER_SIZE = 13.0, 8.0, 6.5


@frozen
class BoxStyle:
    """The colours and lines of a box."""

    face: str
    edge: str
    text_color: str = MUTED
    line: float = 0.8
    hatch: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"


PLAIN = BoxStyle(BLOCK, FAINT)
STAGE_END = BoxStyle(DERIVED_LIGHT, DERIVED)
DETECTS = BoxStyle(DERIVED, DERIVED, PAPER)
WRONG = BoxStyle(COMPARED, COMPARED, PAPER)
BOTH = BoxStyle(DERIVED, COMPARED, PAPER, line=2.6)
# no text, which would be illegible on the hatching
THROWN_AWAY = BoxStyle(PAPER, FAINT, text_color="", hatch="//////")
ABSENT = BoxStyle(PAPER, FAINT, FAINT, dash=(0, (2, 2)))


@frozen
class LegendItem:
    """One item of the legend: a swatch and its text."""

    style: BoxStyle
    text: str


@frozen
class Header:
    """The text above the picture: a title, a sentence, and lines of legend items."""

    title: str
    subtitle: str
    legend: tuple[tuple[LegendItem, ...], ...]


@frozen
class Flag:
    """A text under a block."""

    text: str
    color: str
    bold: bool = False


@frozen
class BlockCell:
    """One box of a row, with the flags under it; `level` is the index of the level it feeds."""

    text: str
    style: BoxStyle
    flags: tuple[Flag, ...] = ()
    level: int | None = None


@frozen
class StageRow:
    """A stage: its heading, details below that, and lines of boxes."""

    heading: str
    details: tuple[str, ...]
    lines: tuple[tuple[BlockCell, ...], ...]


@frozen
class LevelLabel:
    """The two lines of text of one level; `behind`: it is computed from the previous level."""

    first: str
    second: str
    behind: bool


@define
class PictureBuilder:
    """Collects the parts of a picture.

    `tap_ends` are the right ends, (x, y), of the boxes that feed levels, by the level's index.
    """

    boxes: list[Rectangle] = field(factory=list)
    lines: list[Polyline] = field(factory=list)
    texts: list[Text] = field(factory=list)
    tap_ends: dict[int, tuple[float, float]] = field(factory=dict)

    def box(self, x: float, y: float, width: float, height: float, style: BoxStyle) -> None:
        """Add a box whose upper left corner is at x, y."""
        self.boxes.append(Rectangle(x, y, width, height, style.face, style.edge, style.line,
                                    style.hatch, style.dash))

    @property
    def right(self) -> float:
        """The x of the rightmost point of all parts."""
        return max(*(box.x + box.width for box in self.boxes),
                   *(text.x + text_width(text.text, text.size, text.bold)
                     for text in self.texts if text.align == "left"))


def lay_out(header: Header, rows: Sequence[StageRow], labels: Sequence[LevelLabel]) -> Picture:
    """Place all parts in a picture of the size that they need, in inches."""
    builder = PictureBuilder()
    left = MARGIN + GAP + max(
        text_width(text, TEXT_SIZE, bold) for row in rows
        for text, bold in ((row.heading, True), *((detail, False) for detail in row.details)))
    column = left + GAP + max(_line_width(line) for row in rows for line in row.lines)
    bottom = _place_header(builder, header)
    for row in rows:
        bottom = _place_row(builder, row, left, bottom + ROW_GAP)
    bottom = max(bottom, _place_levels(builder, labels, column))
    return Picture(builder.right + MARGIN, bottom + MARGIN, tuple(builder.boxes),
                   tuple(builder.lines), tuple(builder.texts))


def _place_header(builder: PictureBuilder, header: Header) -> float:
    y = MARGIN + TITLE_SIZE / POINTS / 2
    builder.texts.append(Text(MARGIN, y, header.title, TITLE_SIZE, INK, bold=True))
    y += 0.26
    builder.texts.append(Text(MARGIN, y, header.subtitle, TEXT_SIZE, MUTED))
    y += 0.08
    for items in header.legend:
        y += 0.19
        x = MARGIN
        for item in items:
            builder.box(x, y - SWATCH_HEIGHT / 2, SWATCH_WIDTH, SWATCH_HEIGHT, item.style)
            builder.texts.append(Text(x + INDENT, y, item.text, TEXT_SIZE, INK))
            x += INDENT + text_width(item.text, TEXT_SIZE) + GAP
    return y + 0.1


def _place_row(builder: PictureBuilder, row: StageRow, left: float, top: float) -> float:
    """Place a row below `top`; return the y of its end."""
    y = top + LEADING / 2
    builder.texts.append(Text(MARGIN, y, row.heading, TEXT_SIZE, INK, bold=True))
    for detail in row.details:
        y += LEADING
        builder.texts.append(Text(MARGIN, y, detail, TEXT_SIZE, MUTED))
    bottom = top
    for index, line in enumerate(row.lines):
        above = row.lines[index - 1] if index else ()
        flagged = any(cell.flags for cell in above)
        bottom += ROW_GAP / 2 if flagged else PITCH - SIDE if above else 0
        bottom = _place_line(builder, line, left, bottom)
    return max(bottom, y + LEADING / 2)


def _place_line(builder: PictureBuilder, line: Sequence[BlockCell], left: float, top: float
                ) -> float:
    """Place boxes side by side and their flags below, the rightmost flag highest.

    In that order no line from a box to its flag crosses another flag: each starts at its box and
    goes on to the right.
    """
    middle = top + SIDE / 2
    last = left + (len(line) - 1) * PITCH
    builder.lines.append(Polyline(((left + SIDE / 2, middle), (last + SIDE / 2, middle)), FAINT))
    y = top + SIDE
    for index in reversed(range(len(line))):
        cell, x = line[index], left + index * PITCH
        builder.box(x, top, SIDE, SIDE, cell.style)
        if cell.text and cell.style.text_color:
            builder.texts.append(Text(x + SIDE / 2, middle, cell.text, NUMBER_SIZE,
                                      cell.style.text_color, "center"))
        if cell.level is not None:
            builder.tap_ends[cell.level] = x + SIDE, middle
        for flag in cell.flags:
            y += LEADING
            stem = x + SIDE / 2
            builder.lines.append(Polyline(((stem, top + SIDE), (stem, y), (stem + STUB, y)),
                                          flag.color, 0.8))
            builder.texts.append(Text(stem + FLAG, y, flag.text, TEXT_SIZE, flag.color,
                                      bold=flag.bold))
    return y + (LEADING / 2 if y > top + SIDE else 0)


def _line_width(line: Sequence[BlockCell]) -> float:
    """Return the width of a line in inches, its flags included."""
    flags = [index * PITCH + SIDE / 2 + FLAG + text_width(flag.text, TEXT_SIZE, flag.bold)
             for index, cell in enumerate(line) for flag in cell.flags]
    return max([(len(line) - 1) * PITCH + SIDE, *flags])


def _place_levels(builder: PictureBuilder, labels: Sequence[LevelLabel], column: float) -> float:
    """Place the levels one below the other, the first ones at the height of their taps.

    Rows are farther apart than levels, so that levels do not overlap. Returns the y of their end.
    """
    width = 2 * LEVEL_PAD + max(max(text_width(label.first, TEXT_SIZE, bold=True),
                                    text_width(label.second, TEXT_SIZE)) for label in labels)
    bottom = 0.0
    for level, label in enumerate(labels):
        middle = bottom + LEVEL_GAP + LEVEL_HEIGHT / 2
        if level in builder.tap_ends:
            x, middle = builder.tap_ends[level]
            builder.lines.append(Polyline(((x, middle), (column, middle)), DERIVED, 1.4,
                                          arrow=True))
        elif label.behind:
            builder.lines.append(Polyline(((column + width / 2, bottom),
                                           (column + width / 2, bottom + LEVEL_GAP)), DERIVED, 1.4,
                                          arrow=True))
        builder.box(column, middle - LEVEL_HEIGHT / 2, width, LEVEL_HEIGHT,
                    BoxStyle(PAPER if label.behind else DERIVED_LIGHT, DERIVED))
        for text, below, bold in ((label.first, -0.5, True), (label.second, 0.5, False)):
            builder.texts.append(Text(column + LEVEL_PAD, middle + below * LEADING, text, TEXT_SIZE,
                                      INK, bold=bold))
        bottom = middle + LEVEL_HEIGHT / 2
    return bottom
