"""The commands, each a module with NAME, SUMMARY, `add_arguments` and `run`.

What a command needs of MXNet it imports when it runs, so that ``ssdreg --help`` stays quick.
"""

from __future__ import annotations

import argparse
from typing import Protocol

from ssdreg.commands import build, check, demo, env, predict, train
from ssdreg.commands import eval as evaluate
from ssdreg.commands import list as listing


class Command(Protocol):
    """What a module must have to be a command."""

    NAME: str
    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit status."""


COMMANDS: tuple[Command, ...] = (listing, check, build, train, evaluate, predict, demo, env)
