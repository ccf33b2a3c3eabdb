"""``ssdreg env``: what it runs on."""

from __future__ import annotations

import argparse
import json

import attrs

NAME = "env"
SUMMARY = "show versions, MXNet's features, threads, what was set and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Print the environment."""
    from ssdreg.environment import describe
    found = describe()
    if options.json:
        print(json.dumps(attrs.asdict(found), indent=2))
        return 0
    settings = ", ".join(f"{name}={value}" for name, value in found.set_for_mxnet.items())
    for name, value in (
            ("ssdreg", found.ssdreg), ("Python", f"{found.python} on {found.platform}"),
            ("packages", ", ".join(f"{name} {text}" for name, text in found.packages.items())),
            ("optional packages", ", ".join(f"{name} {text or '(not installed)'}"
                                            for name, text in found.optional.items())),
            ("instructions for", ", ".join(f"{name} ({', '.join(there) or 'none'})"
                                           for name, there in found.instructions.items())),
            ("MXNet features", ", ".join(found.features)), ("GPUs", found.gpus),
            ("OpenMP threads", f"{found.threads} ({found.threads_reason})"),
            ("restored for MXNet", ", ".join(found.restored) or "nothing was missing"),
            ("set for MXNet", settings or "nothing, you set it all")):
        print(f"{name + ':':20}{value}")
    return 0
