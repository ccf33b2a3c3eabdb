"""``ssdreg audit``: do published detectors tap the ends of their backbones' stages?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from ssdreg_runtime.system.tables import markdown_table, text_table

from ssdreg.cli.commands import arguments
from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.audit import Audit, Audited, Layer

NAME = "audit"
SUMMARY = "judge the taps of a symbol, of an SSD example's configuration, or of GluonCV's presets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, metavar="FILE",
                        help="a backbone's symbol (JSON, with --layers), or configurations: the "
                             "example's symbol_factory.py, which is read and not executed, or a "
                             "dictionary with its fields as JSON or Python literal")
    source.add_argument("--gluoncv", action="store_true",
                        help="all SSD presets of the installed GluonCV")
    parser.add_argument("--layers", metavar="NAMES",
                        help="the layers tapped from the symbol, separated by commas")
    parser.add_argument("--data-shape", type=arguments.shape, metavar="SIDE|HxW",
                        help="the network's input in pixels; without it 300 for a symbol, and for "
                             "configurations 300 and 512")
    parser.add_argument("--num-classes", type=int, default=20, metavar="N",
                        help="classes without background, for counting parameters; the presets of "
                             "GluonCV have their own")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON for machines")
    form.add_argument("--markdown", action="store_true", help="print a Markdown table")


def run(options: argparse.Namespace) -> int:
    """Audit and print; the exit status is 1 when a detector is wrong or none could be judged."""
    audit = _audit(options)
    if options.json:
        print(json.dumps([{**attrs.asdict(each), "share": each.share} for each in audit.items],
                         indent=2))
    elif options.markdown:
        print(markdown_table(MARKDOWN_HEADER, [_markdown_row(each) for each in audit.items]))
        _explain(audit)
    else:
        print(text_table(TEXT_HEADER, [row for each in audit.items for row in _text_rows(each)]))
        _explain(audit)
    return 0 if audit.passed else 1


def _audit(options: argparse.Namespace) -> Audit:
    from ssdreg.audit import audit_configurations, audit_gluoncv, audit_symbol
    if options.gluoncv:
        if options.data_shape or options.layers:
            raise SsdregError("--gluoncv audits every preset with its own layers at its own input "
                              "size: leave out --layers and --data-shape")
        return audit_gluoncv()
    if options.num_classes < 1:
        raise SsdregError(f"--num-classes {options.num_classes}: at least one class is needed "
                          f"(the background is not counted)")
    shape = options.data_shape
    if _is_symbol(options.file):
        side = shape or arguments.DATA_SHAPE
        return audit_symbol(options.file, [name for name in (options.layers or "").split(",")
                                           if name.strip()],
                            (side, side) if isinstance(side, int) else side, options.num_classes)
    if options.layers:
        raise SsdregError(f"{options.file} is no symbol: --layers are for symbols, the layers of "
                          f"a configuration are read from it")
    if isinstance(shape, tuple):
        raise SsdregError("a configuration is made for square inputs: give --data-shape as a side")
    return audit_configurations(options.file, shape, options.num_classes)


def _is_symbol(file: Path) -> bool:
    """Tell a symbol from a configuration in JSON; whatever ends in .py is a configuration."""
    from ssdreg.graph.symbol_file import MAX_BYTES
    if file.suffix == ".py":
        return False
    if file.stat().st_size > MAX_BYTES:
        raise SsdregError(f"{file} has {file.stat().st_size:,} bytes: no symbol or configuration "
                          f"is that large")
    try:
        value = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return file.suffix == ".json"  # broken; MXNet will say so
    return isinstance(value, dict) and "nodes" in value


TEXT_HEADER = ("preset", "verdict", "declared taps", "right taps", "weights used", "published",
               "corrected")
MARKDOWN_HEADER = ("preset", "declared taps (stride: node, channels)", "verdict", "right taps",
                   "weights used", "parameters published", "corrected")


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
    from ssdreg.audit import WRONG
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


def _explain(audit: Audit) -> None:
    """Print the reasons below the table, and how parameters were counted."""
    from ssdreg.audit import VERDICTS
    for each in audit.items:
        if each.reasons:
            print(f"\n{each.preset}: {VERDICTS[each.verdict]}")
            for reason in each.reasons:
                print(f"- {reason}")
    print(f"\nParameters {audit.counted}.")
