"""The progress of detection in streams, shown on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from ssdreg_runtime.io.frame import Stream
from ssdreg_runtime.system.progress import Work, progress

_BAR_FORMAT = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left"


class StreamProgress:
    """Shows how many pictures of some streams are done, the rate, and the time left."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        totals = [stream.total for stream in streams]
        units = {stream.unit for stream in streams}
        unit = units.pop() if len(units) == 1 else "picture"
        known = all(totals)
        self._progress = progress(
            Work("", f"{unit}s", sum(filter(None, totals)) if known else None),
            # short runs show no line
            _BAR_FORMAT if known else None, stays=True, delay=0.5)

    def __enter__(self) -> StreamProgress:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        work = self._progress.work
        if error is None and work.total is not None:
            work.total = work.done  # a video's header may have promised another number
        self._progress.__exit__(kind, error, trace)

    def advance(self) -> None:
        """Count one picture as done."""
        self._progress.advance()

    def print_line(self, text: str) -> None:
        """Print a line on standard output and flush it."""
        # file names may have bytes that are no text
        encoding = sys.stdout.encoding or "utf-8"
        self._progress.write(text.encode(encoding, "backslashreplace").decode(encoding),
                             sys.stdout)
        sys.stdout.flush()

    def print_error(self, text: str) -> None:
        """Print a line on standard error."""
        self._progress.write(text, sys.stderr)
