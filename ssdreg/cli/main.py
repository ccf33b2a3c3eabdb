"""The command line: ``ssdreg COMMAND``. Each command is a module of `ssdreg.cli.commands`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ssdreg_runtime.system.console import accept_all_letters, unprintable

from ssdreg._version import __version__
from ssdreg.cli.commands import MODULES, command
from ssdreg.errors import SsdregError, SsdregWarning
from ssdreg.registry.entry_points import NO_PLUGINS, PRECEDENCE, no_plugins
from ssdreg.registry.host import forget

DESCRIPTION = "SSD object detectors on Apache MXNet, with any backbone, as plug-ins."

#: Exit statuses: a command's own verdict is 1, bad input 2, an interruption 128 + SIGINT.
BAD_INPUT, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    accept_all_letters()
    given = sys.argv[1:] if argv is None else argv
    options = _parser_for(given).parse_args(given)
    with warnings.catch_warnings(), _plugins(options.no_plugins):
        warnings.showwarning = _show_warning
        # a sentence for the user, also where Python is told to raise warnings or to hide them
        warnings.simplefilter("default", SsdregWarning)
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
        except UnicodeEncodeError as error:
            print(f"ssdreg: {unprintable(error)}", file=sys.stderr)
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


def _parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser for the command that is called; of all where none is, or a wrong one."""
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    return parser((called,) if called in MODULES else tuple(MODULES))


def parser(names: Sequence[str] = tuple(MODULES)) -> argparse.ArgumentParser:
    """Build the parser of these commands, all by default."""
    top = argparse.ArgumentParser(prog="ssdreg", description=DESCRIPTION, epilog=PRECEDENCE,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"ssdreg {__version__}")
    top.add_argument(NO_PLUGINS, action="store_true",
                     help="load no installed plug-in")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in map(command, names):
        sentence = f"{module.SUMMARY[0].upper()}{module.SUMMARY[1:]}."
        sub = commands.add_parser(module.NAME, help=module.SUMMARY, description=sentence,
                                  formatter_class=_Defaults)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
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
