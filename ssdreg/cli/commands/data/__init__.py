"""The commands of ``ssdreg data``, modules of the same kind as those of `ssdreg` itself."""

from __future__ import annotations

import argparse

from ssdreg.cli.commands import Command
from ssdreg.cli.commands.data import anchors, check, convert, pack, split, stats, view

NAME = "data"
SUMMARY = "check, measure, view, convert, split and pack a data set, and fit anchors to it"

#: In the order of ``--help``.
COMMANDS: tuple[Command, ...] = (check, stats, view, convert, split, pack, anchors)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own commands and their arguments."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sentence = f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}."
        sub = commands.add_parser(command.NAME, help=command.SUMMARY, description=sentence,
                                  formatter_class=parser.formatter_class)
        command.add_arguments(sub)
        sub.set_defaults(run_on_data=command.run)


def run(options: argparse.Namespace) -> int:
    """Run the command's own command."""
    return int(options.run_on_data(options))
