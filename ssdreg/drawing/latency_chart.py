"""Figures as a bar chart: a bar a row, with its milliseconds and its ratio."""

from __future__ import annotations

from pathlib import Path

from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import shown

from ssdreg.bench.figures import Figures, Row
from ssdreg.bench.tables import milliseconds
from ssdreg.errors import BenchError

#: Colours of Okabe and Ito's palette, which is safe for colour blindness; hatched for print.
BAR_STYLES = {"float32": ("#0072B2", ""), "bfloat16": ("#E69F00", "//"), "int8": ("#009E73", "..")}
OTHER_STYLE = ("#999999", "")
INK, MUTED = "#1F2933", "#52606D"
# inches
WIDTH, BAR, GAP, FRAME = 9.0, 0.32, 0.45, 1.5


def check_chart(out: Path) -> None:
    """Raise BenchError for a file whose suffix is neither .svg nor .png."""
    if out.suffix.lower() not in (".svg", ".png"):
        raise BenchError(f"a chart cannot be drawn into {out}: its suffix is to be .svg or .png")


def draw_chart(figures: Figures, out: Path) -> None:
    """Draw the rows of `figures` into `out`, an SVG or PNG by its suffix.

    Its folder is made if need be, and the file appears only when it is complete. Raises BenchError
    for another suffix.
    """
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg, Patch, rc_context
    check_chart(out)
    rows = figures.rows
    batches = list(dict.fromkeys(row.batch for row in rows))
    height = FRAME + BAR * len(rows) + GAP * (len(batches) - 1)
    figure = Figure(figsize=(WIDTH, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    positions = _bar_positions(rows)
    for row, position in zip(rows, positions):
        color, hatch = BAR_STYLES.get(row.configuration.precision, OTHER_STYLE)
        axes.barh(position, row.seconds.median * 1e3, 0.72, color=color, hatch=hatch,
                  edgecolor="white", linewidth=0)
        axes.plot([row.seconds.lower * 1e3, row.seconds.upper * 1e3], [position, position],
                  color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.annotate(label(row), (max(row.seconds.upper, row.seconds.median) * 1e3, position),
                      (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    axes.set_yticks(positions, [_name(row, len(batches) > 1) for row in rows])
    axes.invert_yaxis()
    # room for the labels behind the longest bar
    axes.set_xlim(0, max(row.seconds.upper for row in rows) * 1e3 * 1.3)
    axes.set_xlabel("ms a batch: median, and quartiles as a line")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    precisions = dict.fromkeys(row.configuration.precision for row in rows)
    styles = {precision: BAR_STYLES.get(precision, OTHER_STYLE) for precision in precisions}
    axes.legend(handles=[Patch(facecolor=color, edgecolor="white", linewidth=0, hatch=hatch,
                               label=precision) for precision, (color, hatch) in styles.items()],
                loc="best", framealpha=0.9)
    sizes = ", ".join(map(str, batches))
    # a name such as "a_$b" is meant literally
    figure.suptitle(f"{shown(figures.workload.title)}, batch {sizes}", parse_math=False)
    cores = f"{figures.machine.cores} core{'' if figures.machine.cores == 1 else 's'}"
    axes.set_title(f"{figures.machine.processor}, {cores}; ratio to the first row"
                   f"{' of the batch' if len(batches) > 1 else ''}", fontsize=9, color=MUTED,
                   parse_math=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    # text as text, not outlines: smaller, and searchable
    with rc_context({"svg.fonttype": "none", "hatch.color": "white"}), replacing(out) as beside:
        figure.savefig(beside, format=out.suffix.lstrip(".").lower())


def label(row: Row) -> str:
    """Return the text behind a row's bar."""
    return f"{milliseconds(row.seconds.median)} ms   {row.ratio:.2f}\N{MULTIPLICATION SIGN}"


def _name(row: Row, several: bool) -> str:
    return f"{row.configuration.name}{f', batch {row.batch}' if several else ''}"


def _bar_positions(rows: tuple[Row, ...]) -> list[float]:
    """Return the bars' positions in bar heights from the top, with a gap between batch sizes."""
    positions: list[float] = []
    for index, row in enumerate(rows):
        apart = index > 0 and rows[index - 1].batch != row.batch
        positions.append((positions[-1] + 1 if positions else 0.0) + (GAP / BAR if apart else 0.0))
    return positions
