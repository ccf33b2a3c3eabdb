"""The commands of ``ssdreg sagemaker``, the entry points of a container in SageMaker's place."""

from __future__ import annotations

import argparse

from ssdreg.cli.commands import Command
from ssdreg.cli.commands.sagemaker import serve, train

NAME = "sagemaker"
SUMMARY = "train and serve by the contract of SageMaker's containers"

#: In the order of ``--help``.
COMMANDS: tuple[Command, ...] = (train, serve)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own commands and their arguments."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sentence = f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}."
        sub = commands.add_parser(command.NAME, help=command.SUMMARY, description=sentence,
                                  formatter_class=parser.formatter_class)
        command.add_arguments(sub)
        sub.set_defaults(run_in_container=command.run)


def run(options: argparse.Namespace) -> int:
    """Run the command's own command."""
    return int(options.run_in_container(options))
