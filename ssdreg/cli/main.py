"""The command line: ``ssdreg COMMAND``. Each command is a module of `ssdreg.cli.commands`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ssdreg_runtime.cli.calling import Defaults, Parser, call

from ssdreg._version import __version__
from ssdreg.cli.commands import MODULES, command
from ssdreg.cli.commands.groups import list_commands
from ssdreg.errors import SsdregWarning
from ssdreg.registry.entry_points import NO_PLUGINS, PRECEDENCE, no_plugins
from ssdreg.registry.host import forget

DESCRIPTION = "SSD object detectors on Apache MXNet, with any backbone, as plug-ins."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    return call("ssdreg", lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(arguments: Sequence[str]) -> int:
    options = _parser_for(arguments).parse_args(arguments)
    with warnings.catch_warnings(), _plugins(options.no_plugins):
        warnings.showwarning = _show_warning
        # a sentence for the user, also where Python is told to raise warnings or to hide them
        warnings.simplefilter("default", SsdregWarning)
        return int(options.run(options))


def _parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser for the command that is called; of all where none is, or a wrong one."""
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    return parser((called,) if called in MODULES else tuple(MODULES))


def parser(names: Sequence[str] = tuple(MODULES)) -> argparse.ArgumentParser:
    """Build the parser of these commands, all by default."""
    top = Parser(prog="ssdreg", description=DESCRIPTION, epilog=PRECEDENCE,
                 formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"ssdreg {__version__}")
    top.add_argument(NO_PLUGINS, action="store_true",
                     help="load no installed plug-in")
    list_commands(top, map(command, names), Defaults, "run")
    return top


@contextmanager
def _plugins(none: bool) -> Iterator[None]:
    """Leave installed plug-ins out, if asked, while a command runs."""
    if not none:
        yield
        return
    forget()
    try:
        with no_plugins():
            yield
    finally:
        forget()


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  file: object = None, line: str | None = None) -> None:
    """Show a warning of ssdreg's as a sentence, any other as Python does."""
    text = (f"ssdreg: warning: {message}\n" if issubclass(category, SsdregWarning)
            else warnings.formatwarning(message, category, filename, lineno, line))
    sys.stderr.write(text)
