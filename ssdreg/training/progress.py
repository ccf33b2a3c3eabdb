"""What training shows while it runs: how far it is, and a line that stays for each epoch."""

from __future__ import annotations

import math
import sys
from types import TracebackType

from ssdreg_runtime.system.progress import Work, progress

from ssdreg.runs.log import Epoch
from ssdreg.training.options import TrainOptions
from ssdreg.training.state import State

_FORM = "{desc} {percentage:3.0f}% {bar} {postfix}, {remaining} left"


def duration(seconds: float) -> str:
    """Write a time in seconds, minutes or hours, in few digits: ``8.5 s``, ``12.3 min``."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds >= 10 * size else (
                f"{seconds / size:.1f} {unit}")
    return f"{seconds:.1f} s"


class Progress:
    """Tells the epoch, images a second, losses, time left."""

    def __init__(self, total: int, done: int, options: TrainOptions) -> None:
        self._options = options
        self._progress = progress(Work("training", "images", total * options.batch_size,
                                       done * options.batch_size), _FORM, stays=True)

    def __enter__(self) -> Progress:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, trace)

    def step(self, state: State, steps_per_epoch: int, rate: float) -> None:
        """Move on by a batch; `rate` is images a second in this epoch, as its line will say."""
        work = self._progress.work
        work.rate = rate
        # at the end of an epoch its number has not risen yet
        work.what = (f"epoch {state.epoch + 1}/{self._options.epochs}, "
                     f"step {state.step}/{steps_per_epoch}")
        work.note = f"cls {state.sums.mean_cls_loss:.3f} loc {state.sums.mean_loc_loss:.3f}"
        self._progress.advance(self._options.batch_size)

    def epoch(self, entry: Epoch) -> None:
        """Print the line that stays."""
        measured = "" if math.isnan(entry.map) else f"  mAP {entry.map:.3f}"
        self._progress.write(
            f"epoch {entry.epoch:3d}  {entry.images_per_second:6.1f} img/s  "
            f"cls {entry.cls_loss:.3f}  loc {entry.loc_loss:.3f}{measured}  "
            f"{duration(entry.seconds)}", sys.stdout)
        sys.stdout.flush()
