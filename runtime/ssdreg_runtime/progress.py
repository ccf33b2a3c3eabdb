"""What is shown while streams are looked at: one line that moves, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from ssdreg_runtime.frame import Stream


class Progress:
    """The progress line of some streams: how much is done, how fast, and how long it still takes.

    Without a terminal there is no such line but once in half a minute, which a log can bear.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        totals = [stream.total for stream in streams]
        units = {stream.unit for stream in streams}
        unit = units.pop() if len(units) == 1 else "picture"
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=sum(filter(None, totals)) if all(totals) else None, unit=f" {unit}s",
            dynamic_ncols=True, smoothing=0.05, file=sys.stderr,
            # what is done at once needs no line
            delay=0.5 if self._terminal else 30.0, mininterval=0.1 if self._terminal else 30.0,
            bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left"
            if all(totals) else None)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None and self._bar.total is not None:
            self._bar.total = self._bar.n  # a video's header may have promised another number
        self._bar.close()

    def step(self) -> None:
        """Move on by one picture."""
        self._bar.update()

    def say(self, text: str) -> None:
        """Print a line on standard output that whoever reads it has at once."""
        # names of files may have bytes that are no letters
        encoding = sys.stdout.encoding or "utf-8"
        self._print(text.encode(encoding, "backslashreplace").decode(encoding), sys.stdout)
        sys.stdout.flush()

    def complain(self, text: str) -> None:
        """Print a line on standard error."""
        self._print(text, sys.stderr)

    def _print(self, text: str, file: TextIO) -> None:
        if self._terminal:
            tqdm.write(text, file=file)  # over the line, which moves down
        else:
            print(text, file=file)
