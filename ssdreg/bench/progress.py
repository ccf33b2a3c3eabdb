"""What a measurement tells while it runs."""

from __future__ import annotations

from ssdreg.progress import Progress, Telling, Work


class BenchProgress(Telling):
    """Tells `progress` what is measured; called as a `ssdreg.bench.measure.Listener`."""

    def __init__(self, progress: Progress | None = None) -> None:
        super().__init__(progress, Work(what="", unit="rounds"))

    def __call__(self, words: str, done: int, total: int) -> None:
        """Tell what is being done."""
        self.tell(what=words, done=done, total=total)
