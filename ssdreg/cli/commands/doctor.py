"""``ssdreg doctor``: is a run whole, and what can be done where it is not?"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg_runtime.system.console import to_json

NAME = "doctor"
SUMMARY = "examine a run: damaged files, what contradicts; repair what can be"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN",
                        help="the folder that `ssdreg train --out` wrote")
    parser.add_argument("--repair", action="store_true",
                        help="do what the findings say; what is damaged is renamed, nothing that "
                             "was learnt is deleted")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Examine and print; the exit status is 1 where something is wrong, and was not repaired."""
    from ssdreg.checkup.doctor import doctor
    from ssdreg.cli.progress import Console
    found = doctor(options.run_folder, repair=options.repair, progress=Console())
    print(to_json(found.to_dict(), indent=2) if options.json else found.text())
    return 0 if found.healthy else 1
