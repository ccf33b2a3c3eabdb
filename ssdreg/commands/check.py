"""``ssdreg check``: are the declarations true?"""

from __future__ import annotations

import argparse
import json

import attrs

from ssdreg.plugins import backbones, get_backbone
from ssdreg.tables import text_table

NAME = "check"
SUMMARY = "verify the taps of registered backbones, and that deeper ones are larger"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="backbones; all when none is given")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Check and print; the exit status is 1 when anything fails."""
    from ssdreg.checking import check
    chosen = [get_backbone(name) for name in options.names] or list(backbones())
    checked = check(chosen)
    if options.json:
        print(json.dumps([{**attrs.asdict(each), "passed": each.passed} for each in checked],
                         indent=2))
    else:
        print(text_table(
            ("backbone", "verdict", "parameters", "weights used", "input sizes"),
            [(each.name, "ok" if each.passed else "WRONG", f"{each.parameters:,}",
              f"{each.coverage:.1%}", " ".join(f"{h}x{w}" for h, w in each.shapes))
             for each in checked]))
        for each in checked:
            for problem in each.problems:
                print(f"\n{each.name}: {problem}")
    return 0 if all(each.passed for each in checked) else 1
