"""The report's pictures as inline SVG and HTML, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TypeVar

import numpy as np
from attrs import frozen

from ssdreg.drawing.report.style import DASHES, LIGHT
from ssdreg.metrics.confusion import Confusion
from ssdreg.metrics.measures import Measures
from ssdreg.metrics.text import number
from ssdreg.metrics.thresholds import Curve
from ssdreg.metrics.tide import Errors

#: A table of more classes cannot be read; then the matrix is drawn as a grid of cells.
MOST_CELLS = 20

_Number = TypeVar("_Number", float, np.ndarray)

# the curves' SVG in its own units
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 560, 380, 62, 12, 52, 12


@frozen
class _Named:
    """A curve with its class, and its AP for the legend."""

    name: str
    ap: float
    curve: Curve


def curves_chart(measures: Measures) -> str:
    """Return precision over recall of every class, and of all together, with a legend.

    Of more classes than there are colours, those with the least AP are coloured and named.
    """
    known = [_Named(of_class.name, of_class.ap, curve)
             for of_class, curve in zip(measures.voc.classes, measures.curves.classes)
             if of_class.objects]
    shown = known
    if len(known) > len(LIGHT):
        shown = sorted(known, key=lambda named: named.ap)[:len(LIGHT)]
    drawn = [_grid()]
    drawn += [f'<path class="faint" d="{_path(named.curve)}"/>' for named in known
              if all(named is not other for other in shown)]
    key = []
    for index, named in enumerate(shown):
        look = f'style="stroke:var(--s{index})" stroke-dasharray="{DASHES[index]}"'
        drawn.append(f'<path class="curve" {look} d="{_path(named.curve)}"/>'
                     f'{_mark(named.curve, f"var(--s{index})")}')
        key.append(_key(f'class="curve" {look}', f"{named.name}, AP {number(named.ap)}"))
    pooled = measures.curves.pooled
    drawn.append(f'<path class="pooled" d="{_path(pooled)}"/>{_mark(pooled, "var(--ink)")}')
    key.append(_key('class="pooled"', "all classes together"))
    if len(shown) < len(known):
        key.append(_key('class="faint"', f"{len(known) - len(shown)} classes with a higher AP"))
    return (f'<div class="chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="precision over recall">{"".join(drawn)}</svg></div>'
            f'<ul class="key">{"".join(key)}</ul>')


def _place(recall: _Number, precision: _Number) -> tuple[_Number, _Number]:
    """Return where a point, or an array of points, is drawn."""
    return (_LEFT + recall * (_WIDTH - _LEFT - _RIGHT),
            _TOP + (1 - precision) * (_HEIGHT - _TOP - _BOTTOM))


def _grid() -> str:
    lines = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        across, down = _place(tick, tick)
        left, bottom = _place(0.0, 0.0)
        right, top = _place(1.0, 1.0)
        lines.append(
            f'<path class="grid" d="M{left:g} {down:g}H{right:g}M{across:g} {top:g}V{bottom:g}"/>'
            f'<text x="{left - 7:g}" y="{down + 4:g}" text-anchor="end">{tick:g}</text>'
            f'<text x="{across:g}" y="{bottom + 20:g}" text-anchor="middle">{tick:g}</text>')
    middle = (_WIDTH + _LEFT) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">recall</text>'
                 f'<text transform="translate(16 {_HEIGHT / 2 - 20}) rotate(-90)" '
                 f'text-anchor="middle">precision</text>')
    return "".join(lines)


def _path(curve: Curve) -> str:
    """Return a curve as the line of an SVG; points that fall together with the last are left out.

    It begins at a recall of 0, so that a curve of one point is seen too.
    """
    if not len(curve.recall) or math.isnan(curve.recall[0]):
        return ""
    recall = np.append(0.0, curve.recall)
    precision = np.append(curve.precision[0], curve.precision)
    places = np.column_stack(_place(recall, precision)).round()
    moved = np.append(True, (np.diff(places, axis=0) != 0).any(axis=1))
    return "M" + "L".join(f"{across:g} {down:g}" for across, down in places[moved].tolist())


def _mark(curve: Curve, color: str) -> str:
    best = curve.best()
    if best is None:
        return ""
    across, down = _place(best.recall, best.precision)
    return (f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5" style="fill:{color}">'
            f'<title>threshold {best.threshold:.4f}: precision {best.precision:.4f}, recall '
            f'{best.recall:.4f}, F1 {best.f1:.4f}</title></circle>')


def _key(look: str, text: str) -> str:
    return (f'<li><svg viewBox="0 0 32 12" aria-hidden="true"><path {look} d="M1 6H31"/></svg>'
            f'{escape(text)}</li>')


def confusion_chart(confusion: Confusion) -> str:
    """Return the confusion matrix: a table with shaded cells, or of many classes a grid of them.

    A cell is shaded by its share of its row, the objects of a class.
    """
    matrix = confusion.matrix
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if len(confusion.classes) > MOST_CELLS:
        return _confusion_grid(confusion, shares)
    head = "".join(f"<th>{escape(name)}</th>" for name in (*confusion.classes, "missed"))
    rows = []
    last = len(confusion.classes)
    for index, name in enumerate((*confusion.classes, "background")):
        cells = []
        for column, count in enumerate(matrix[index].tolist()):
            if index == column == last:
                cells.append("<td></td>")
                continue
            own = ' class="own"' if index == column else ""
            cells.append(f'<td{own} style="background:rgba(var(--heat),'
                         f'{0.65 * shares[index, column]:.2f})">{count}</td>')
        rows.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    return (f'<div class="wide"><table class="matrix"><thead><tr><th>object \\ detected</th>{head}'
            f'</tr></thead><tbody>{"".join(rows)}</tbody></table></div>')


def _confusion_grid(confusion: Confusion, shares: np.ndarray) -> str:
    names, count = (*confusion.classes, "background"), len(shares)
    columns = (*confusion.classes, "missed")
    cells = [f'<rect x="{column}" y="{row}" width="1" height="1" style="fill:rgba(var(--heat),'
             f'{max(0.15, float(shares[row, column])):.2f})"><title>{escape(names[row])} taken for '
             f'{escape(columns[column])}: {confusion.matrix[row, column]}</title></rect>'
             for row, column in zip(*map(np.ndarray.tolist, np.nonzero(confusion.matrix)))]
    return (f'<div class="chart"><svg viewBox="0 0 {count} {count}" role="img" '
            f'aria-label="confusion matrix"><rect width="{count}" height="{count}" '
            f'style="fill:none;stroke:var(--rule);stroke-width:.1"/>{"".join(cells)}</svg></div>'
            "<p>Classes in their order, from the top and from the left; the last row is "
            "background, the last column what was missed. A cell says its names and its count "
            "when it is pointed at. The most frequent:</p>")


def errors_chart(errors: Errors) -> str:
    """Return a bar for every kind of error, as long as what it costs."""
    bars = [(kind.name, kind.total.count, kind.total.dap) for kind in errors.kinds]
    return _bars([(f"{name} ({count})", 0.0 if math.isnan(dap) else dap, f"+{number(dap)}")
                  for name, count, dap in bars])


def _bars(bars: Sequence[tuple[str, float, str]]) -> str:
    longest = max((length for _, length, _ in bars), default=0.0) or 1.0
    return '<div class="bars">' + "".join(
        f'<span>{escape(name)}</span><span class="track"><i style="width:'
        f'{100 * length / longest:.1f}%"></i></span><span class="value">{escape(value)}</span>'
        for name, length, value in bars) + "</div>"
