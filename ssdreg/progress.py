"""What a function of ssdreg tells while it works: frozen values, handed to a callable.

    ssdreg.train(..., progress=print)

Each value is a line when it is printed; the class says what it is about, see `ssdreg.Note`,
`ssdreg.Work`, `ssdreg.Step`, `ssdreg.Epoch`, `ssdreg.DataIssues`. `ssdreg.Console` shows them as
the command line does. Without a callable nothing is shown: no function of ssdreg prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from attrs import evolve, frozen

Progress = Callable[[object], object]

T = TypeVar("T")
Self = TypeVar("Self", bound="Telling")


def silent(event: object) -> None:
    """Report nothing."""


@frozen
class Note:
    """A sentence: what was decided, or what is begun."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class Work:
    """How far something is.

    - `what`: what is done, as ``packing train``; `at`: the part of it that is under way
    - `unit`: what is counted, in the plural; ``bytes`` are bytes; empty where nothing is counted
    - `done` of `total`, which is None where it is not known
    - `note`: what else is known at the moment
    - `rate`: units a second, where whoever works measures it himself, without his pauses
    - `ended`: there is no more of it, whether all was done or not
    """

    what: str
    unit: str = ""
    total: float | None = None
    done: float = 0
    at: str = ""
    note: str = ""
    rate: float | None = None
    ended: bool = False

    def __str__(self) -> str:
        count = "" if not self.unit else (
            f"{self.done:,} {self.unit}" if self.total is None
            else f"{self.done:,} of {self.total:,} {self.unit}")
        return ": ".join(filter(None, (self.at or self.what, ", ".join(
            filter(None, (count, self.note))))))


class Telling:
    """Tells `progress` how far a work is; its end is told too, whatever happens within."""

    def __init__(self, progress: Progress | None, work: Work) -> None:
        self._progress, self._work = progress or silent, work

    def tell(self, **changes: Any) -> None:
        """Tell what has changed of the work: its fields by name."""
        self._work = evolve(self._work, **changes)
        self._progress(self._work)

    def advance(self, count: float = 1) -> None:
        """Tell that so much more is done."""
        self.tell(done=self._work.done + count)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Give the items, each of which is done when the next one is asked for."""
        with self:
            for item in items:
                yield item
                self.advance()

    def __enter__(self: Self) -> Self:
        self._progress(self._work)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress(evolve(self._work, ended=True))
