"""Tables of text: aligned for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def text_table(header: Sequence[str], rows: Rows) -> str:
    """Align columns with spaces; the last column is not padded."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)


def markdown_table(header: Sequence[str], rows: Rows) -> str:
    """Write a table as Markdown; a bar in a cell is escaped."""
    lines = [tuple(header), tuple("---" for _ in header),
             *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
