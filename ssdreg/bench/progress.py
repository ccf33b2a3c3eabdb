"""What a measurement shows while it runs."""

from __future__ import annotations

from types import TracebackType

from ssdreg_runtime.system.progress import Work, progress


class Progress:
    """Tells what is measured; call it to report (see `ssdreg.bench.measure.Listener`)."""

    def __init__(self) -> None:
        self._progress = progress(Work("", "rounds"), "{desc} {n_fmt}/{total_fmt} {bar}")

    def __enter__(self) -> Progress:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, trace)

    def __call__(self, words: str, done: int, total: int) -> None:
        """Show what is being done."""
        work = self._progress.work
        if words != work.what:
            self._progress.begin(words, done, total)
        else:
            work.total = total
            self._progress.advance(done - work.done)
