"""Lines of Python that are no longer than they may be."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from io import StringIO

#: The longest line.
WIDTH = 100
_BINARY = ("+", "-", "*", "/")


def broken(line: str) -> Iterator[str]:
    """Yield a statement as lines, broken behind commas and before signs, and aligned.

    A line that cannot be broken stays: nothing is broken that is not in brackets.
    """
    start = len(line) - len(line.lstrip())
    # the places behind commas and before signs, with the column behind the bracket around them
    places: list[tuple[int, int, int]] = []
    opened: list[int] = []
    for token in tokenize.generate_tokens(StringIO(line[start:]).readline):
        column = start + token.start[1]
        if token.type == tokenize.OP and token.string in "([{":
            opened.append(column + 1)
        elif token.type == tokenize.OP and token.string in ")]}":
            opened.pop()
        elif token.type == tokenize.OP and token.string == "," and opened:
            places.append((column + 1, len(opened), opened[-1]))
        elif opened and token.string in _BINARY and line[column - 1:column + 2] == (
                f" {token.string} "):
            places.append((column - 1, len(opened), opened[-1]))
    # where every line begins in the statement, and at which column
    rows = [(0, 0)]
    while True:
        begin, indent = rows[-1]
        fits = begin - indent + WIDTH
        within = [place for place in places if begin < place[0] <= fits]
        if len(line) <= fits or not within:
            yield " " * indent + line[begin:]
            return
        depth = min(place[1] for place in within)
        end, _, column = max(place for place in within if place[1] == depth)
        yield " " * indent + line[begin:end]
        row, shift = max(row for row in rows if row[0] < column)
        rows.append((end + 1, column - row + shift))
