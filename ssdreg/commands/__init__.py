"""The commands, each a module with NAME, SUMMARY, `add_arguments` and `run`.

What a command needs of MXNet it imports when it runs, so that ``ssdreg --help`` stays quick.
"""

from __future__ import annotations

import argparse
from typing import Protocol

from ssdreg.commands import audit, build, check, demo, draw, env, predict, show, train, weights
from ssdreg.commands import data as measuring
from ssdreg.commands import eval as evaluate
from ssdreg.commands import import_ as importing
from ssdreg.commands import list as listing


class Command(Protocol):
    """What a module must have to be a command."""

    NAME: str
    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit status."""


COMMANDS: tuple[Command, ...] = (
    listing, show, draw, check, audit, build, measuring, train, evaluate, predict, demo, env,
    weights, importing)
