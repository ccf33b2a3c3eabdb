"""How far something is, told on standard error while it runs.

On a terminal that is a line that moves. Anywhere else, in a log file above all, it would be
thousands of lines, or one full of carriage returns: there it is a plain line now and then, and
nothing at all of what is done sooner.
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
EVERY = 30.0

T = TypeVar("T")


@define
class Work:
    """What is told of: what is being done, how much of it, and how much there is, if known.

    - `unit`: what is counted, in the plural; ``bytes`` are shown as kB and MB
    - `note`: what else is known at the moment
    - `rate`: units a second, where whoever works measures it himself, without his pauses
    """

    what: str
    unit: str
    total: float | None = None
    done: float = 0
    note: str = ""
    rate: float | None = None


class Progress(ABC):
    """Tells how far `work` is; whoever does the work changes it, and then calls `show`."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def advance(self, count: float = 1) -> None:
        """Say that so much more is done."""
        self.work.done += count
        self.show()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Give the items, each of which is done when the next one is asked for."""
        with self:
            for item in items:
                yield item
                self.advance()

    @abstractmethod
    def show(self) -> None:
        """Take note of what has changed in `work`."""

    @abstractmethod
    def begin(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Turn to something else, with a speed of its own."""

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
    """A line that moves.

    `form` is its ``bar_format`` of tqdm, None for tqdm's own; `stays`: the line is left there at
    the end; `delay`: seconds without it, since what is done at once needs none.
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
        """Print a line over the one that moves."""
        tqdm.write(text, file=file)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.total = self.work.total
        self._bar.close()


class Clock:
    """The time, and a wait that can be ended from elsewhere."""

    def __init__(self) -> None:
        self._ended = Event()

    def now(self) -> float:
        """Return the seconds since some moment."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until `end` is called; return whether it was."""
        return self._ended.wait(seconds)

    def end(self) -> None:
        """End the wait under way and all later ones."""
        self._ended.set()


class Lines(Progress):
    """A plain line every so often, also while a single step takes long."""

    def __init__(self, work: Work, clock: Clock | None = None) -> None:
        super().__init__(work)
        self._clock = clock or Clock()
        self._stream = sys.stderr
        self._thread = Thread(target=self._tell, daemon=True)
        self._began, self._before = self._clock.now(), work.done

    def show(self) -> None:
        """Do nothing: the next line tells."""

    def begin(self, what: str, done: float = 0, total: float | None = None) -> None:
        """See `Progress.begin`."""
        self.work.what, self.work.done, self.work.total = what, done, total
        self._began, self._before = self._clock.now(), done

    def write(self, text: str, file: TextIO) -> None:
        """Print a line."""
        print(text, file=file)

    def line(self) -> str:
        """Say what is done, how far it is, how fast, and how long it still takes."""
        work, took = self.work, self._clock.now() - self._began
        rate = (work.done - self._before) / took if took > 0 else 0.0
        told_rate = rate if work.rate is None else work.rate
        parts = []
        if work.total:
            share = work.done / work.total
            parts.append(f"{_amount(work.done, work.unit, work.total)} ({share:.0%})")
        elif work.done:
            parts.append(_amount(work.done, work.unit))
        if told_rate:
            parts.append(f"{_amount(float(f'{told_rate:.3g}'), work.unit)}/s")
        if rate and work.total:
            left = max(0.0, work.total - work.done) / rate
            parts.append(f"{tqdm.format_interval(left)} left")
        else:
            parts.append(f"{tqdm.format_interval(took)} so far")
        told = ", ".join([*parts, *filter(None, [work.note])])
        return f"{work.what}: {told}" if work.what else told

    def _tell(self) -> None:
        while not self._clock.wait(EVERY):
            try:
                self._stream.write(f"{self.line()}\n")
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more, or it was closed
                return

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._clock.end()
        self._thread.join()


def _grouped(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,g}"


def _amount(count: float, unit: str, total: float | None = None) -> str:
    """Say ``3 of 20 images``; of bytes ``3.10MB of 20.0MB``."""
    numbers = [count] if total is None else [count, total]
    if unit == "bytes":
        return " of ".join(tqdm.format_sizeof(number, "B") for number in numbers)
    return f"{' of '.join(map(_grouped, numbers))} {unit}".rstrip()


def progress(work: Work, form: str | None = None, stays: bool = False,
             delay: float = 0.0) -> Progress:
    """Tell how far `work` is, as suits standard error; use it in a ``with``.

    `form`, `stays` and `delay` are about the line on a terminal, see `Bar`.
    """
    return Bar(work, form, stays, delay) if sys.stderr.isatty() else Lines(work)


def waiting(what: str) -> AbstractContextManager[Lines | None]:
    """Tell that `what` goes on, of which nothing is counted, where standard error is no terminal.

    On a terminal, whoever waits sees that it has not ended, and nothing is told.
    """
    return nullcontext() if sys.stderr.isatty() else Lines(Work(what, ""))
