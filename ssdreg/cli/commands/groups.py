"""Lists of commands: those of ``ssdreg``, and of commands that have some, as ``ssdreg data``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from ssdreg.cli.commands import Command


def list_commands(parser: argparse.ArgumentParser, commands: Iterable[Command],
                  formatter_class: Any, runs: str) -> None:
    """Declare commands, in this order, and their arguments; the one called is in option `runs`."""
    listed = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        sentence = f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}."
        sub = listed.add_parser(command.NAME, help=command.SUMMARY, description=sentence,
                                formatter_class=formatter_class)
        command.add_arguments(sub)
        sub.set_defaults(**{runs: command.run})


def add_commands(parser: argparse.ArgumentParser, commands: Iterable[Command]) -> None:
    """Declare a command's own commands; see `run_command`."""
    list_commands(parser, commands, parser.formatter_class, "run_inner")


def run_command(options: argparse.Namespace) -> int:
    """Run the command's own command; return its exit status."""
    return int(options.run_inner(options))
