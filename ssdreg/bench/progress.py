"""What a measurement shows while it runs: one line on standard error."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """The progress line; call it to report (see `ssdreg.bench.measure.Report`).

    Where standard error is no terminal, nothing is shown.
    """

    def __init__(self) -> None:
        self._bar = tqdm(total=1, file=sys.stderr, leave=False, dynamic_ncols=True, disable=None,
                         bar_format="{desc} {n_fmt}/{total_fmt} {bar}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()

    def __call__(self, words: str, done: int, total: int) -> None:
        """Show what is being done."""
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(words, refresh=True)
