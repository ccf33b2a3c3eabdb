"""``ssdreg audit``: do published detectors tap the ends of their backbones' stages?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ssdreg.cli.commands import arguments

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
    from ssdreg.auditing import tables
    from ssdreg.auditing.audit import audit
    report = audit(options.file, gluoncv=options.gluoncv, layers=options.layers or (),
                   data_shape=options.data_shape, num_classes=options.num_classes)
    if options.json:
        print(json.dumps(tables.to_dicts(report), indent=2))
    else:
        print((tables.markdown if options.markdown else tables.text)(report))
    return 0 if report.passed else 1
