"""Where the parts of a backbone's picture go: rows of boxes on the left, levels on the right.

Texts are measured before anything is placed, and the picture is as wide as they need, so that
nothing is cut and nothing overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from ssdreg.drawing.canvas import POINTS, Box, Line, Picture, Text, text_width

# blue and vermilion of Okabe and Ito's palette, which people with any sight tell apart
DERIVED, DERIVED_LIGHT, COMPARED = "#0072B2", "#CCE3F0", "#D55E00"
INK, MUTED, FAINT = "#1F2933", "#52606D", "#9AA5B1"
BLOCK, PAPER = "#E4E9EE", "#FFFFFF"

# inches
MARGIN, GAP, ROW_GAP = 0.2, 0.35, 0.2
SIDE, PITCH = 0.27, 0.32  # of a block's box; from one to the next
LEADING = 0.165  # from one line of text to the next
STUB, FLAG = 0.09, 0.13  # from a box's middle: the end of the line to its flag; the flag
SWATCH_WIDTH, SWATCH_HEIGHT, ENTRY = 0.2, 0.13, 0.28  # of the legend; from a swatch to its text
LEVEL_HEIGHT, LEVEL_PAD, LEVEL_GAP = 0.44, 0.1, 0.2
# points
TITLE, LETTERS, NUMBERS = 13.0, 8.0, 6.5


@frozen
class Look:
    """How a box is drawn."""

    face: str
    edge: str
    letters: str = MUTED
    line: float = 0.8
    hatch: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"


PLAIN = Look(BLOCK, FAINT)
STAGE_END = Look(DERIVED_LIGHT, DERIVED)
DETECTS = Look(DERIVED, DERIVED, PAPER)
WRONG = Look(COMPARED, COMPARED, PAPER)
BOTH = Look(DERIVED, COMPARED, PAPER, line=2.6)
# no letters: nobody could read them on the hatching
THROWN_AWAY = Look(PAPER, FAINT, letters="", hatch="//////")
ABSENT = Look(PAPER, FAINT, FAINT, dash=(0, (2, 2)))


@frozen
class Entry:
    """One line of the legend."""

    look: Look
    text: str


@frozen
class Header:
    """What stands above: a title, a sentence, and lines of a legend."""

    title: str
    subtitle: str
    legend: tuple[tuple[Entry, ...], ...]


@frozen
class Flag:
    """What is written under a block."""

    text: str
    color: str
    bold: bool = False


@frozen
class Cell:
    """One box of a row, with the flags under it; `level` is the one that its tap feeds."""

    text: str
    look: Look
    flags: tuple[Flag, ...] = ()
    level: int | None = None


@frozen
class Row:
    """A stage: its heading, particulars below that, and lines of boxes."""

    heading: str
    details: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]


@frozen
class Outlet:
    """The two lines of text of one level; `behind` when it is made from the level before it."""

    first: str
    second: str
    behind: bool


@define
class Sheet:
    """A picture while it is made; `sources` are the right ends of the boxes that feed levels."""

    boxes: list[Box] = field(factory=list)
    lines: list[Line] = field(factory=list)
    texts: list[Text] = field(factory=list)
    sources: dict[int, tuple[float, float]] = field(factory=dict)

    def box(self, x: float, y: float, width: float, height: float, look: Look) -> None:
        """Add a box whose upper left corner is at x, y."""
        self.boxes.append(Box(x, y, width, height, look.face, look.edge, look.line, look.hatch,
                              look.dash))

    @property
    def right(self) -> float:
        """How far to the right anything reaches."""
        return max(*(box.x + box.width for box in self.boxes),
                   *(text.x + text_width(text.text, text.size, text.bold)
                     for text in self.texts if text.align == "left"))


def lay_out(header: Header, rows: Sequence[Row], outlets: Sequence[Outlet]) -> Picture:
    """Place everything; the picture is as large as it needs to be."""
    sheet = Sheet()
    left = MARGIN + GAP + max(
        text_width(text, LETTERS, bold) for row in rows
        for text, bold in ((row.heading, True), *((detail, False) for detail in row.details)))
    column = left + GAP + max(_reach(line) for row in rows for line in row.lines)
    bottom = _place_header(sheet, header)
    for row in rows:
        bottom = _place_row(sheet, row, left, bottom + ROW_GAP)
    bottom = max(bottom, _place_levels(sheet, outlets, column))
    return Picture(sheet.right + MARGIN, bottom + MARGIN, tuple(sheet.boxes), tuple(sheet.lines),
                   tuple(sheet.texts))


def _place_header(sheet: Sheet, header: Header) -> float:
    y = MARGIN + TITLE / POINTS / 2
    sheet.texts.append(Text(MARGIN, y, header.title, TITLE, INK, bold=True))
    y += 0.26
    sheet.texts.append(Text(MARGIN, y, header.subtitle, LETTERS, MUTED))
    y += 0.08
    for entries in header.legend:
        y += 0.19
        x = MARGIN
        for entry in entries:
            sheet.box(x, y - SWATCH_HEIGHT / 2, SWATCH_WIDTH, SWATCH_HEIGHT, entry.look)
            sheet.texts.append(Text(x + ENTRY, y, entry.text, LETTERS, INK))
            x += ENTRY + text_width(entry.text, LETTERS) + GAP
    return y + 0.1


def _place_row(sheet: Sheet, row: Row, left: float, top: float) -> float:
    """Place a row below `top`; return where it ends."""
    y = top + LEADING / 2
    sheet.texts.append(Text(MARGIN, y, row.heading, LETTERS, INK, bold=True))
    for detail in row.details:
        y += LEADING
        sheet.texts.append(Text(MARGIN, y, detail, LETTERS, MUTED))
    bottom = top
    for index, line in enumerate(row.lines):
        above = row.lines[index - 1] if index else ()
        flagged = any(cell.flags for cell in above)
        bottom += ROW_GAP / 2 if flagged else PITCH - SIDE if above else 0
        bottom = _place_line(sheet, line, left, bottom)
    return max(bottom, y + LEADING / 2)


def _place_line(sheet: Sheet, line: Sequence[Cell], left: float, top: float) -> float:
    """Place boxes side by side and their flags below, the rightmost flag highest.

    In that order no line from a box to its flag crosses another flag: each starts at its box and
    goes on to the right.
    """
    middle = top + SIDE / 2
    last = left + (len(line) - 1) * PITCH
    sheet.lines.append(Line(((left + SIDE / 2, middle), (last + SIDE / 2, middle)), FAINT))
    y = top + SIDE
    for index in reversed(range(len(line))):
        cell, x = line[index], left + index * PITCH
        sheet.box(x, top, SIDE, SIDE, cell.look)
        if cell.text and cell.look.letters:
            sheet.texts.append(Text(x + SIDE / 2, middle, cell.text, NUMBERS, cell.look.letters,
                                    "center"))
        if cell.level is not None:
            sheet.sources[cell.level] = x + SIDE, middle
        for flag in cell.flags:
            y += LEADING
            stem = x + SIDE / 2
            sheet.lines.append(Line(((stem, top + SIDE), (stem, y), (stem + STUB, y)),
                                    flag.color, 0.8))
            sheet.texts.append(Text(stem + FLAG, y, flag.text, LETTERS, flag.color,
                                    bold=flag.bold))
    return y + (LEADING / 2 if y > top + SIDE else 0)


def _reach(line: Sequence[Cell]) -> float:
    """Return how far a line reaches from its first box, its flags included."""
    flags = [index * PITCH + SIDE / 2 + FLAG + text_width(flag.text, LETTERS, flag.bold)
             for index, cell in enumerate(line) for flag in cell.flags]
    return max([(len(line) - 1) * PITCH + SIDE, *flags])


def _place_levels(sheet: Sheet, outlets: Sequence[Outlet], column: float) -> float:
    """Place the levels one below the other: first those of taps, each at the height of its tap.

    Rows are farther apart than levels, because their texts are higher.
    """
    width = 2 * LEVEL_PAD + max(max(text_width(each.first, LETTERS, bold=True),
                                    text_width(each.second, LETTERS)) for each in outlets)
    bottom = 0.0
    for level, outlet in enumerate(outlets):
        middle = bottom + LEVEL_GAP + LEVEL_HEIGHT / 2
        if level in sheet.sources:
            x, middle = sheet.sources[level]
            sheet.lines.append(Line(((x, middle), (column, middle)), DERIVED, 1.4, arrow=True))
        elif outlet.behind:
            sheet.lines.append(Line(((column + width / 2, bottom),
                                     (column + width / 2, bottom + LEVEL_GAP)), DERIVED, 1.4,
                                    arrow=True))
        sheet.box(column, middle - LEVEL_HEIGHT / 2, width, LEVEL_HEIGHT,
                  Look(PAPER if outlet.behind else DERIVED_LIGHT, DERIVED))
        for text, below, bold in ((outlet.first, -0.5, True), (outlet.second, 0.5, False)):
            sheet.texts.append(Text(column + LEVEL_PAD, middle + below * LEADING, text, LETTERS,
                                    INK, bold=bold))
        bottom = middle + LEVEL_HEIGHT / 2
    return bottom
