"""``ssdreg check``: are the declarations true?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
from ssdreg_runtime.system.tables import text_table

from ssdreg.compat.mxnet_package import require
from ssdreg.registry.names import get_backbone, list_backbones
from ssdreg.registry.suggestions import some

if TYPE_CHECKING:
    from ssdreg.registry.backbone import StopsAt
    from ssdreg.testing import Verdict

NAME = "check"
SUMMARY = "verify the taps of registered backbones, and that deeper ones are larger"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="backbones; all when none is given. With --plugin, patterns such as "
                             "'gluon.res*' for what to examine of the distribution")
    parser.add_argument("--plugin", metavar="DIST",
                        help="examine what an installed distribution brings as the tests of its "
                             "plug-ins do (ssdreg.testing): build, train a step, save, detect")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Check and print; the exit status is 1 when anything fails."""
    require()  # one error, instead of one for every backbone
    return _conformance(options) if options.plugin else _declarations(options)


def _declarations(options: argparse.Namespace) -> int:
    from ssdreg.detector.families import check
    chosen = [get_backbone(name) for name in options.names] or list(list_backbones())
    checked = check(chosen)
    if options.json:
        print(json.dumps([{**attrs.asdict(backbone), "passed": backbone.passed}
                          for backbone in checked], indent=2))
    else:
        print(text_table(
            ("backbone", "verdict", "parameters", "weights used", "input sizes"),
            [(backbone.name, "ok" if backbone.passed else "WRONG", f"{backbone.parameters:,}",
              "-" if backbone.coverage is None else f"{backbone.coverage:.1%}",
              " ".join(f"{h}x{w}" for h, w in backbone.shapes)) for backbone in checked]))
        _tell_stops((backbone.name, backbone.stops_at) for backbone in checked)
        for backbone in checked:
            for issue in backbone.issues:
                print(f"\n{backbone.name}: {issue}")
    return 0 if all(backbone.passed for backbone in checked) else 1


def _tell_stops(backbones: Iterable[tuple[str, StopsAt | None]]) -> None:
    """Say who stops early on purpose, and why: a family often gives one reason."""
    named: dict[StopsAt, list[str]] = {}
    for name, stop in backbones:
        if stop is not None:
            named.setdefault(stop, []).append(name)
    for stop, names in named.items():
        print(f"\n{', '.join(names)}: stops at stride {stop.stride} on purpose: {stop.reason}")


def _conformance(options: argparse.Namespace) -> int:
    from ssdreg_runtime.system.progress import Work, progress

    from ssdreg.testing import Package, Subject, examine
    package = Package(options.plugin, *options.names)
    work = Work(f"examining {options.plugin}", "subjects", 1 + len(package.subjects))
    examined = list(progress(work).over(examine(package)))
    verdicts = [verdict for group in examined for verdict in group]
    if options.json:
        print(json.dumps([{**attrs.asdict(verdict), "passed": verdict.passed}
                          for verdict in verdicts], indent=2))
    else:
        print(text_table(
            ("examined", "verdict", "passed", "failed", "not looked at"),
            [(group[0].title, "ok" if all(verdict.passed for verdict in group) else "WRONG",
              f"{sum(_examined(verdict) and verdict.passed for verdict in group)} of {len(group)}",
              " ".join(verdict.check for verdict in group if verdict.issue) or "-",
              " ".join(verdict.check for verdict in group if not _examined(verdict)) or "-")
             for group in examined]))
        _tell_stops((subject.title, subject.backbone.stops_at) for subject in package.subjects
                    if isinstance(subject, Subject) and subject.head is None)
        for verdict in verdicts:
            if verdict.issue:
                print(f"\n{verdict.sentence}")
        reasons: dict[str, list[str]] = {}
        for verdict in verdicts:
            if verdict.unexamined:
                reasons.setdefault(f"{verdict.check}: not looked at: {verdict.unexamined}",
                                   []).append(verdict.title)
        for reason, titles in reasons.items():
            print(f"\n{some(titles)}: {reason}")
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _examined(verdict: Verdict) -> bool:
    return not verdict.failed_needs and not verdict.unexamined
