"""Progress of long work, shown on standard error.

On a terminal it is a moving bar. Elsewhere, as in a log file, a bar would be thousands of lines, or
one full of carriage returns: there it is a plain line every `LINE_INTERVAL` seconds, and none for
work that ends sooner.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread
from types import TracebackType
from typing import TextIO, TypeVar

from attrs import define
from tqdm import tqdm

#: Seconds from one plain line to the next.
LINE_INTERVAL = 30.0

T = TypeVar("T")


@define
class Work:
    """The work whose progress is shown.

    - `what`: its name; `unit`: what is counted, in the plural; ``bytes`` are shown as kB and MB
    - `total`, `done`: the number of units in all, None where it is unknown, and of those done
    - `note`: a text behind the numbers
    - `rate`: units a second, where the work measures it itself, without its pauses
    """

    what: str
    unit: str
    total: float | None = None
    done: float = 0
    note: str = ""
    rate: float | None = None


class Progress(ABC):
    """Shows how far `work` is; the code that does the work changes it, and then calls `show`."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def advance(self, count: float = 1) -> None:
        """Add `count` units to those done."""
        self.work.done += count
        self.show()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; each counts as done when the next one is taken."""
        with self:
            for item in items:
                yield item
                self.advance()

    @abstractmethod
    def show(self) -> None:
        """Show the changes in `work`."""

    @abstractmethod
    def begin(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Begin other work, with a rate of its own."""

    @abstractmethod
    def write(self, text: str, file: TextIO) -> None:
        """Print a line that stays."""

    @abstractmethod
    def __enter__(self) -> Progress:
        """Begin."""

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End."""


class Bar(Progress):
    """A moving bar.

    `form` is tqdm's ``bar_format``, None for tqdm's default; `stays`: the bar remains at the end;
    `delay`: seconds before it appears, so that short work shows none.
    """

    def __init__(self, work: Work, form: str | None = None, stays: bool = False,
                 delay: float = 0.0) -> None:
        super().__init__(work)
        in_bytes = work.unit == "bytes"
        self._bar = tqdm(
            desc=work.what or None, total=work.total, initial=work.done, leave=stays, delay=delay,
            unit="B" if in_bytes else f" {work.unit}", unit_scale=in_bytes, dynamic_ncols=True,
            smoothing=0.05, file=sys.stderr, bar_format=form)

    def show(self) -> None:
        """See `Progress.show`."""
        self._bar.total = self.work.total
        self._bar.set_description_str(self.work.what, refresh=False)
        rate = "" if self.work.rate is None else f"{self.work.rate:.1f} {self.work.unit}/s "
        self._bar.set_postfix_str(f"{rate}{self.work.note}", refresh=False)
        self._bar.update(self.work.done - self._bar.n)

    def begin(self, what: str, done: float = 0, total: float | None = None) -> None:
        """See `Progress.begin`."""
        self.work.what, self.work.done, self.work.total = what, done, total
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(what, refresh=True)

    def write(self, text: str, file: TextIO) -> None:
        """Print a line above the bar."""
        tqdm.write(text, file=file)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.total = self.work.total
        self._bar.close()


class Clock:
    """The time, and a wait that another thread can end."""

    def __init__(self) -> None:
        self._ended = Event()

    def now(self) -> float:
        """Return the time in seconds on a monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until `end` is called; return whether it was called."""
        return self._ended.wait(seconds)

    def end(self) -> None:
        """End the wait under way and all later ones."""
        self._ended.set()


class Lines(Progress):
    """A plain line every `LINE_INTERVAL` seconds, also while a single step takes long."""

    def __init__(self, work: Work, clock: Clock | None = None) -> None:
        super().__init__(work)
        self._clock = clock or Clock()
        self._stream = sys.stderr
        self._thread = Thread(target=self._print_lines, daemon=True)
        self._start_time, self._start_done = self._clock.now(), work.done

    def show(self) -> None:
        """Do nothing: the next line shows it."""

    def begin(self, what: str, done: float = 0, total: float | None = None) -> None:
        """See `Progress.begin`."""
        self.work.what, self.work.done, self.work.total = what, done, total
        self._start_time, self._start_done = self._clock.now(), done

    def write(self, text: str, file: TextIO) -> None:
        """Print a line."""
        print(text, file=file)

    def line(self) -> str:
        """Return the line: the work, how much of it is done, its rate, and the time left."""
        work, elapsed = self.work, self._clock.now() - self._start_time
        rate = (work.done - self._start_done) / elapsed if elapsed > 0 else 0.0
        shown_rate = rate if work.rate is None else work.rate
        parts = []
        if work.total:
            share = work.done / work.total
            parts.append(f"{_format_amount(work.done, work.unit, work.total)} ({share:.0%})")
        elif work.done:
            parts.append(_format_amount(work.done, work.unit))
        if shown_rate:
            parts.append(f"{_format_amount(float(f'{shown_rate:.3g}'), work.unit)}/s")
        if rate and work.total:
            remaining = max(0.0, work.total - work.done) / rate
            parts.append(f"{tqdm.format_interval(remaining)} left")
        else:
            parts.append(f"{tqdm.format_interval(elapsed)} so far")
        status = ", ".join([*parts, *filter(None, [work.note])])
        return f"{work.what}: {status}" if work.what else status

    def _print_lines(self) -> None:
        while not self._clock.wait(LINE_INTERVAL):
            try:
                self._stream.write(f"{self.line()}\n")
                self._stream.flush()
            except (OSError, ValueError):  # the reader closed the pipe, or the stream was closed
                return

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._clock.end()
        self._thread.join()


def _format_number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,g}"


def _format_amount(count: float, unit: str, total: float | None = None) -> str:
    """Return text such as ``3 of 20 images``, and for bytes ``3.10MB of 20.0MB``."""
    numbers = [count] if total is None else [count, total]
    if unit == "bytes":
        return " of ".join(tqdm.format_sizeof(number, "B") for number in numbers)
    return f"{' of '.join(map(_format_number, numbers))} {unit}".rstrip()


def progress(work: Work, form: str | None = None, stays: bool = False,
             delay: float = 0.0) -> Progress:
    """Return the progress of `work`, a bar or lines as suits standard error; use it in a ``with``.

    `form`, `stays` and `delay` are those of the bar on a terminal, see `Bar`.
    """
    return Bar(work, form, stays, delay) if sys.stderr.isatty() else Lines(work)


def waiting(what: str) -> AbstractContextManager[Lines | None]:
    """Print lines that `what`, which counts nothing, still runs, unless on a terminal.

    On a terminal the user sees that the command has not ended, and nothing is printed.
    """
    return nullcontext() if sys.stderr.isatty() else Lines(Work(what, ""))
