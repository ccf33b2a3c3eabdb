"""What training shows while it runs: one line that moves, and one that stays for each epoch."""

from __future__ import annotations

import math
import sys
from types import TracebackType

from tqdm import tqdm

from ssdreg.log import Epoch
from ssdreg.training.options import TrainOptions
from ssdreg.training.state import State


class Progress:
    """The progress line: epoch, images a second, losses, time left."""

    def __init__(self, total: int, done: int, options: TrainOptions) -> None:
        self._options = options
        self._bar = tqdm(
            total=total * options.batch_size, initial=done * options.batch_size, unit="img",
            dynamic_ncols=True, smoothing=0.05,
            # a log file gets a line now and then instead of ten a second
            mininterval=0.1 if sys.stderr.isatty() else 30.0,
            bar_format="{desc} {percentage:3.0f}% {bar} {rate_fmt}{postfix}, {remaining} left")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()

    def step(self, state: State, steps_per_epoch: int) -> None:
        """Move on by a batch."""
        # at the end of an epoch its number has not risen yet
        self._bar.set_description_str(f"epoch {state.epoch + 1}/{self._options.epochs}, "
                                      f"step {state.step}/{steps_per_epoch}", refresh=False)
        self._bar.set_postfix_str(f"cls {state.sums.mean_cls_loss:.3f} "
                                  f"loc {state.sums.mean_loc_loss:.3f}", refresh=False)
        self._bar.update(self._options.batch_size)

    def epoch(self, entry: Epoch) -> None:
        """Print the line that stays."""
        measured = "" if math.isnan(entry.map) else f"  mAP {entry.map:.3f}"
        tqdm.write(f"epoch {entry.epoch:3d}  {entry.images_per_second:6.1f} img/s  "
                   f"cls {entry.cls_loss:.3f}  loc {entry.loc_loss:.3f}{measured}  "
                   f"{entry.seconds / 60:.1f} min", file=sys.stdout)
        sys.stdout.flush()
