"""An audit as text: a table, and the reasons below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import attrs
from ssdreg_runtime.system.tables import markdown_table, text_table

from ssdreg.auditing.audited import VERDICTS, WRONG, Audit, Audited, Layer

TEXT_HEADER = ("preset", "verdict", "declared taps", "right taps", "weights used", "published",
               "corrected")
MARKDOWN_HEADER = ("preset", "declared taps (stride: node, channels)", "verdict", "right taps",
                   "weights used", "parameters published", "corrected")


def text(audit: Audit) -> str:
    """Show an audit for a terminal."""
    rows = [row for audited in audit.items for row in _text_rows(audited)]
    return f"{text_table(TEXT_HEADER, rows)}\n{_explained(audit)}"


def markdown(audit: Audit) -> str:
    """Show an audit as Markdown."""
    rows = [_markdown_row(audited) for audited in audit.items]
    return f"{markdown_table(MARKDOWN_HEADER, rows)}\n{_explained(audit)}"


def to_dicts(audit: Audit) -> list[dict[str, Any]]:
    """Return what JSON says of an audit."""
    return [{**attrs.asdict(audited), "share": audited.share} for audited in audit.items]


def _text_rows(audited: Audited) -> Iterator[tuple[str, ...]]:
    """Yield a line for every tap: networks have long names."""
    right = () if _is_same(audited) else audited.right
    numbers = _numbers(audited)
    names = iter(_names(audited))
    for index, (tap, end) in enumerate(zip_longest(audited.declared or (None,), right)):
        first = index == 0
        same = "the same" if first and _is_same(audited) else ""
        yield (next(names, ""), _verdict(audited) if first else "",
               _text(tap) if tap else "-" if first else "", _text(end) if end else same,
               *(numbers if first else ("", "", "")))
    for name in names:
        yield name, "", "", "", "", "", ""


def _is_same(audited: Audited) -> bool:
    return bool(audited.right) and audited.right == audited.declared


def _names(audited: Audited) -> list[str]:
    return [audited.preset, *(f"  {name}" for name in audited.also)]


def _markdown_row(audited: Audited) -> tuple[str, ...]:
    right = "the same" if _is_same(audited) else _joined(audited.right)
    verdict = _verdict(audited)
    return (", ".join((audited.preset, *_endings(audited))), _joined(audited.declared),
            f"**{verdict}**" if verdict.isupper() else verdict, right, *_numbers(audited))


def _endings(audited: Audited) -> list[str]:
    """Shorten the names of detectors that differ in their ending only: ``_coco``."""
    stem = audited.preset.rpartition("_")[0]
    return [name.removeprefix(stem) if stem else name for name in audited.also]


def _verdict(audited: Audited) -> str:
    return audited.verdict.upper() if audited.verdict == WRONG else audited.verdict


def _numbers(audited: Audited) -> tuple[str, str, str]:
    share = "-" if audited.share is None else f"{audited.share:.0%}"
    published, corrected = (("-" if size is None else f"{size:,}")
                            for size in (audited.published, audited.corrected))
    return share, published, corrected


def _joined(layers: Sequence[Layer]) -> str:
    return "; ".join(map(_text, layers)) or "-"


def _text(layer: Layer) -> str:
    return (layer.name if layer.channels is None else
            f"{layer.stride}: {layer.name}, {layer.channels}")


def _explained(audit: Audit) -> str:
    """Give the reasons, and say how parameters were counted."""
    lines: list[str] = []
    for audited in audit.items:
        if audited.reasons:
            lines += ["", f"{audited.preset}: {VERDICTS[audited.verdict]}",
                      *(f"- {reason}" for reason in audited.reasons)]
    return "\n".join([*lines, "", f"Parameters {audit.counted}."])
