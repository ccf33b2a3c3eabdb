"""Figures as text: aligned, or as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssdreg_runtime.system.tables import Rows, markdown_table, text_table

from ssdreg.bench.figures import Figures, Post, Row, Spread

HEADER = ("backend", "precision", "batch", "ms", "quartiles", "images/s", "ratio", "GFLOP/s",
          "of peak")
POST_HEADER = ("backend", "precision", "batch", "whole ms", "network ms", "post ms", "of whole",
               "by difference")
PEAK_HEADER = ("precision", "GFLOP/s", "by")

Table = Callable[[Sequence[str], Rows], str]


def text(figures: Figures) -> str:
    """Show all figures for a terminal."""
    return _all(figures, text_table)


def markdown(figures: Figures) -> str:
    """Show all figures as Markdown."""
    return _all(figures, markdown_table)


def heading(figures: Figures) -> str:
    """Say what was measured, where, and how often."""
    workload, machine = figures.workload, figures.machine
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    versions = ", ".join(f"{name} {text}" for name, text in machine.versions.items())
    return (f"{workload.title}, {workload.classes} classes, {workload.anchors:,} anchors, "
            f"{workload.multiply_adds / 1e9:.2f} G multiply-adds an image\n"
            f"{machine.processor}, {cores}, {threads}; {versions}\n"
            f"medians of {figures.rounds} rounds of {figures.timed}, in turns; "
            f"the ratio is to the first row of the same batch")


def _all(figures: Figures, table: Table) -> str:
    parts = [heading(figures)]
    if figures.rows:
        parts.append(table(HEADER, [_row(row) for row in figures.rows]))
    if figures.post:
        parts.append(table(POST_HEADER, [_post(post) for post in figures.post]))
    if figures.peaks:
        parts.append("the most that multiplying two matrices reached, the best engine each:")
        parts.append(table(PEAK_HEADER, [(peak.precision, f"{peak.gflops:,.0f}", peak.engine)
                                         for peak in figures.peaks]))
    if figures.missing:
        listed = "- " if table is markdown_table else ""
        parts.append("\n".join(
            f"{listed}{missing.configuration.name}"
            f"{'' if missing.batch is None else f', batch {missing.batch}'}: {missing.why}"
            for missing in figures.missing))
    return "\n\n".join(parts)


def _row(row: Row) -> tuple[str, ...]:
    return (row.configuration.backend, row.configuration.precision, str(row.batch),
            milliseconds(row.seconds.median), _quartiles(row.seconds),
            f"{row.images_per_second:.1f}", f"{row.ratio:.2f}",
            "?" if row.gflops is None else f"{row.gflops:,.0f}",
            "?" if row.share is None else f"{row.share:.0%}")


def _post(post: Post) -> tuple[str, ...]:
    return (post.configuration.backend, post.configuration.precision, str(post.batch),
            milliseconds(post.whole.median), milliseconds(post.network.median),
            milliseconds(post.rest.median), f"{post.share:.1%}", f"{post.difference:.1%}")


def _quartiles(seconds: Spread) -> str:
    return f"{milliseconds(seconds.lower)} to {milliseconds(seconds.upper)}"


def milliseconds(seconds: float) -> str:
    """Write seconds as milliseconds, with about three digits."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"
