"""The commands of ``ssdreg sagemaker``, the entry points of a container in SageMaker's place."""

from __future__ import annotations

import argparse

from ssdreg.cli.commands import Command
from ssdreg.cli.commands.groups import add_commands, run_command
from ssdreg.cli.commands.sagemaker import serve, train

NAME = "sagemaker"
SUMMARY = "train and serve by the contract of SageMaker's containers"

#: In the order of ``--help``.
COMMANDS: tuple[Command, ...] = (train, serve)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own commands and their arguments."""
    add_commands(parser, COMMANDS)


def run(options: argparse.Namespace) -> int:
    """Run the command's own command."""
    return run_command(options)
