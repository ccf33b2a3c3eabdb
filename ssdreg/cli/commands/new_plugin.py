"""``ssdreg new-plugin``: a package to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg.cli.commands.advice import command

NAME = "new-plugin"
SUMMARY = "write a package with a small working backbone, its tests and CI, to start from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME",
                        help="the backbone's name; its package is called ssdreg-NAME")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR",
                        help="where the package's folder goes")


def run(options: argparse.Namespace) -> int:
    """Write it and say what to do with it."""
    from ssdreg.scaffold.new_plugin import names, write_plugin
    called = names(options.name)
    folder = write_plugin(called, options.out)
    print(f"written: {folder}\n"
          f"  install it:  {command('pip', 'install', '--editable', f'{folder}[test]')}\n"
          f"  prove it:    {command('pytest', folder)}\n"
          f"  use it:      {command('ssdreg', 'show', called.backbone)}\n"
          f"The network is in {folder / called.package / '__init__.py'}.")
    return 0
