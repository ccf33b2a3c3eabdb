"""``ssdreg env``: what it runs on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

import attrs

from ssdreg.compat.mxnet_package import MISSING

NAME = "env"
SUMMARY = "show versions, MXNet's features, threads, what was set and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Print the environment."""
    from ssdreg.cli.environment import describe
    from ssdreg.compat.mxnet_modules import PACKAGES
    environment = describe()
    if options.json:
        print(json.dumps(attrs.asdict(environment), indent=2))
        return 0
    mxnet_is_there = environment.packages["mxnet"] is not None
    settings = ", ".join(f"{name}={value}" for name, value in environment.set_for_mxnet.items())
    restored = ", ".join(environment.restored)
    for name, value in (
            ("ssdreg", environment.ssdreg),
            ("Python", f"{environment.python} on {environment.platform}"),
            ("packages", _list(environment.packages)),
            ("optional packages", _list(environment.optional)),
            ("instructions for", ", ".join(f"{name} ({', '.join(there) or 'none'})"
                                           for name, there in environment.instructions.items())),
            ("MXNet features", ", ".join(environment.features) if mxnet_is_there else MISSING),
            ("GPUs", environment.gpus),
            ("OpenMP threads", f"{environment.threads} ({environment.threads_reason})"),
            ("restored", f"{restored} (for modules of {' and '.join(PACKAGES)} only)" if restored
             else "nothing is missing"),
            ("set for MXNet", settings or ("nothing, you set it all" if mxnet_is_there
                                           else "nothing, it is not installed"))):
        print(f"{name + ':':20}{value}")
    return 0


def _list(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in versions.items())
