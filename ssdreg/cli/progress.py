"""What commands show of the work under way: lines that stay, and one that moves on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from ssdreg_runtime.system import progress as shown

from ssdreg.data.issues import DataIssues
from ssdreg.progress import Note, Work
from ssdreg.runs.log import Epoch
from ssdreg.training.progress import Step

#: What the line on a terminal looks like, where it is not as tqdm has it.
_TRAINING = "{desc} {percentage:3.0f}% {bar} {postfix}, {remaining} left"
_FORMS = {"rounds": "{desc} {n_fmt}/{total_fmt} {bar}"}


class Console:
    """Shows what a function tells, as the command line does; hand it over as `progress`.

    Sentences go to `notes`, standard output by default, and so do epochs of training; what is
    wrong with data, and how far the work is, to standard error: on a terminal as a line that
    moves, elsewhere as a plain line every 30 seconds.
    """

    def __init__(self, notes: TextIO | None = None) -> None:
        self._notes = notes
        self._bar: shown.Progress | None = None
        self._what = ""

    def __call__(self, event: object) -> None:
        """Show one of the values of `ssdreg.progress`; others are passed over."""
        if isinstance(event, Work):
            self._work(event)
        elif isinstance(event, Epoch):
            self._epoch(event)
        elif isinstance(event, DataIssues):
            print(event, file=sys.stderr)
        elif isinstance(event, Note):
            print(event, file=self._notes or sys.stdout)
            if isinstance(self._bar, shown.Lines) and not self._bar.work.unit:
                self._bar.begin(event.text)

    def _work(self, work: Work) -> None:
        if work.ended:
            self._end()
        elif self._bar is None:
            self._begin(work)
        elif work.what != self._what:
            self._bar.begin(work.at or work.what, work.done, work.total)
        else:
            state = self._bar.work
            state.what, state.note, state.rate = work.at or work.what, work.note, work.rate
            state.total = work.total
            self._bar.advance(work.done - state.done)
        self._what = work.what

    def _begin(self, work: Work) -> None:
        state = shown.Work(work.what, work.unit, work.total, work.done)
        if not work.unit:
            # on a terminal whoever waits sees that it has not ended
            self._bar = None if sys.stderr.isatty() else shown.Lines(state)
        elif isinstance(work, Step):
            self._bar = shown.progress(state, _TRAINING, stays=True)
        else:
            self._bar = shown.progress(state, _FORMS.get(work.unit))
        if self._bar is not None:
            self._bar.__enter__()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
        self._bar = None

    def _epoch(self, epoch: Epoch) -> None:
        if self._bar is None:
            print(epoch)
        else:
            self._bar.write(str(epoch), sys.stdout)
        sys.stdout.flush()
