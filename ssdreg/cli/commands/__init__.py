"""The commands, each a module with NAME, SUMMARY, `add_arguments` and `run`.

Only the one that is called is imported, and what it needs of MXNet it imports when it runs, so that
``ssdreg list`` and ``ssdreg --help`` stay quick.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast


class Command(Protocol):
    """What a module must have to be a command."""

    NAME: str
    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit status."""


#: The names of the commands in the order of ``--help``, with their modules.
MODULES = {name: name.replace("-", "_") for name in (
    "list", "show", "draw", "check", "audit", "build", "data", "train", "launch", "tune", "doctor",
    "eval", "quantize", "predict", "serve", "bench", "demo", "env", "weights", "import", "export",
    "sagemaker", "plugins", "new-plugin")}
MODULES["import"] = "import_"  # which is no name in Python

if TYPE_CHECKING:
    COMMANDS: tuple[Command, ...]


def command(name: str) -> Command:
    """Import the command of this name."""
    return cast(Command, import_module(f"ssdreg.cli.commands.{MODULES[name]}"))


def __getattr__(name: str) -> Any:
    """Give all commands, as `COMMANDS`, imported when they are first asked for."""
    if name != "COMMANDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return tuple(map(command, MODULES))
