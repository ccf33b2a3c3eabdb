"""The commands of ``ssdreg data``, modules of the same kind as those of `ssdreg` itself."""

from __future__ import annotations

import argparse

from ssdreg.cli.commands import Command
from ssdreg.cli.commands.data import anchors, check, convert, pack, split, stats, view
from ssdreg.cli.commands.groups import add_commands, run_command

NAME = "data"
SUMMARY = "check, measure, view, convert, split and pack a data set, and fit anchors to it"

#: In the order of ``--help``.
COMMANDS: tuple[Command, ...] = (check, stats, view, convert, split, pack, anchors)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own commands and their arguments."""
    add_commands(parser, COMMANDS)


def run(options: argparse.Namespace) -> int:
    """Run the command's own command."""
    return run_command(options)
