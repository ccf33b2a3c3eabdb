"""What is shown while streams are looked at."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from ssdreg_runtime.io.frame import Stream
from ssdreg_runtime.system.progress import Work, progress

_FORM = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left"


class Watching:
    """Tells how much of some streams is done, how fast, and how long it still takes."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        totals = [stream.total for stream in streams]
        units = {stream.unit for stream in streams}
        unit = units.pop() if len(units) == 1 else "picture"
        known = all(totals)
        self._progress = progress(
            Work("", f"{unit}s", sum(filter(None, totals)) if known else None),
            # what is done at once needs no line
            _FORM if known else None, stays=True, delay=0.5)

    def __enter__(self) -> Watching:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        work = self._progress.work
        if error is None and work.total is not None:
            work.total = work.done  # a video's header may have promised another number
        self._progress.__exit__(kind, error, trace)

    def step(self) -> None:
        """Move on by one picture."""
        self._progress.advance()

    def say(self, text: str) -> None:
        """Print a line on standard output that whoever reads it has at once."""
        # names of files may have bytes that are no letters
        encoding = sys.stdout.encoding or "utf-8"
        self._progress.write(text.encode(encoding, "backslashreplace").decode(encoding),
                             sys.stdout)
        sys.stdout.flush()

    def complain(self, text: str) -> None:
        """Print a line on standard error."""
        self._progress.write(text, sys.stderr)
