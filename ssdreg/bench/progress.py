"""What a measurement tells while it runs."""

from __future__ import annotations

from types import TracebackType

from attrs import evolve

from ssdreg.progress import Progress, Work, silent


class BenchProgress:
    """Tells `progress` what is measured; called as a `ssdreg.bench.measure.Listener`."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress, self._work = progress or silent, Work(what="", unit="rounds")

    def __enter__(self) -> BenchProgress:
        self._progress(self._work)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress(evolve(self._work, ended=True))

    def __call__(self, words: str, done: int, total: int) -> None:
        """Tell what is being done."""
        self._work = evolve(self._work, what=words, done=done, total=total)
        self._progress(self._work)
