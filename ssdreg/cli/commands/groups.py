"""Commands that have commands of their own, as ``ssdreg data`` has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssdreg.cli.commands import Command


def add_commands(parser: argparse.ArgumentParser, commands: Sequence[Command]) -> None:
    """Declare a command's own commands, in this order, and their arguments; see `run_command`."""
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        sentence = f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}."
        sub = inner.add_parser(command.NAME, help=command.SUMMARY, description=sentence,
                               formatter_class=parser.formatter_class)
        command.add_arguments(sub)
        sub.set_defaults(run_inner=command.run)


def run_command(options: argparse.Namespace) -> int:
    """Run the command's own command; return its exit status."""
    return int(options.run_inner(options))
