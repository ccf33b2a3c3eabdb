"""The command line: ``ssdreg COMMAND``. Each command is a module of `ssdreg.commands`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from ssdreg._version import __version__
from ssdreg.commands import COMMANDS
from ssdreg.errors import SsdregError
from ssdreg.plugins import PluginWarning

DESCRIPTION = "SSD object detectors on Apache MXNet, with any backbone, as plug-ins."

#: Exit statuses: a command's own verdict is 1, bad input 2, an interruption 128 + SIGINT.
BAD_INPUT, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = int(options.run(options))
            # here and not at exit, so that a reader who went away is noticed below
            sys.stdout.flush()
            return status
        except SsdregError as error:
            print(f"ssdreg: {error}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print("ssdreg: interrupted", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            # the reader of our output went away (`ssdreg list | head`); leave without a word,
            # also when Python flushes what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BAD_INPUT
        except OSError as error:
            if error.filename is None:
                raise
            # a full disk, a folder that may not be written, a file where a folder should be;
            # of the two names of a rename the second is the one the user knows
            print(f"ssdreg: {error.filename2 or error.filename}: {error.strerror}",
                  file=sys.stderr)
            return BAD_INPUT


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Show an option's default where it has one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, (), False):
            return action.help
        return super()._get_help_string(action)


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(prog="ssdreg", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=f"ssdreg {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sentence = f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}."
        sub = commands.add_parser(command.NAME, help=command.SUMMARY, description=sentence,
                                  formatter_class=_Defaults)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  file: object = None, line: str | None = None) -> None:
    """Show a plug-in's warning as a sentence, any other as Python does."""
    text = (f"ssdreg: warning: {message}\n" if issubclass(category, PluginWarning)
            else warnings.formatwarning(message, category, filename, lineno, line))
    sys.stderr.write(text)
