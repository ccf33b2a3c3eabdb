"""How a command is called: its exit status, and a sentence for whatever the user can correct."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from ssdreg_runtime.errors import SsdregError
from ssdreg_runtime.system.console import accept_all_letters, unprintable
from ssdreg_runtime.system.files import advice_on

#: Exit statuses: a command's own verdict is 1, bad input 2, an interruption 128 + SIGINT.
BAD_INPUT, INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose help fails where it cannot be written; argparse's own is silent then."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Show an option's default where it has one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, (), False):
            return action.help
        return super()._get_help_string(action)


class _Output:
    """Standard output that remembers whether it took what was written; else it is that stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.refused = stream, False

    def write(self, text: str) -> int:
        """Write to the stream."""
        with self._watched():
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._watched():
            self._stream.flush()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.refused = True
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def call(program: str, run: Callable[[], int]) -> int:
    """Run a command and return its exit status.

    What is wrong with its input is a sentence on standard error, and so is a standard output that
    takes no more, as on a full disk. One whose reader has gone away (`... | head`) is no error that
    anybody wants to read of. SystemExit, which ends help and wrong arguments, is raised on.
    """
    accept_all_letters()
    # Python has none where it was closed (`>&-`), and prints to nobody then
    output = _Output(sys.stdout or io.StringIO())
    with redirect_stdout(output):  # type: ignore[type-var]
        try:
            return _status_of(program, run, output)
        except BrokenPipeError:
            _discard(output)
            return BAD_INPUT
        except OSError as error:
            if not output.refused:
                raise
            _discard(output)
            reasons = filter(None, (error.strerror, advice_on(error)))
            return _fail(program, f"standard output cannot be written: {'; '.join(reasons)}",
                         BAD_INPUT)


def _status_of(program: str, run: Callable[[], int], output: _Output) -> int:
    try:
        status = run()
    except SystemExit:
        output.flush()
        raise
    except SsdregError as error:
        status = _fail(program, str(error), BAD_INPUT)
    except KeyboardInterrupt:
        status = _fail(program, "interrupted", INTERRUPTED)
    except UnicodeEncodeError as error:
        status = _fail(program, unprintable(error), BAD_INPUT)
    except OSError as error:
        if error.filename is None:
            raise
        # a full disk, a folder that may not be written, a file where a folder should be; of the
        # two names of a rename the second is the one the user knows
        status = _fail(program, f"{error.filename2 or error.filename}: {error.strerror}", BAD_INPUT)
    # here and not at exit, so that what cannot be written is noticed
    output.flush()
    return status


def _discard(output: _Output) -> None:
    """Let what is left of standard output vanish, also when Python flushes it at exit."""
    # what a reader that went away or a full disk does not take now, it never takes
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _fail(program: str, sentence: str, status: int) -> int:
    print(f"{program}: {sentence}", file=sys.stderr)
    return status
