"""What training tells while it runs: how far it is, step by step, and each epoch that has ended."""

from __future__ import annotations

from attrs import frozen

from ssdreg.progress import Progress, Telling, Work
from ssdreg.runs.log import Epoch
from ssdreg.training.options import TrainOptions
from ssdreg.training.state_file import State


@frozen(kw_only=True)
class Step(Work):
    """How far a training is: `step` of `steps` in the epoch `epoch` of `epochs`, counted from 1.

    `done` of `total` are images of the whole training, `rate` is images a second in this epoch,
    the losses are means over its steps so far: cross-entropy per anchor that counted, and smooth
    L1 per positive anchor. What is told before the first step has a `step` of 0.
    """

    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    cls_loss: float = 0.0
    loc_loss: float = 0.0


class TrainingProgress(Telling):
    """Tells `progress` of every step and every epoch; its end is told too, whatever happens."""

    def __init__(self, total: int, done: int, options: TrainOptions,
                 progress: Progress | None = None) -> None:
        self._options = options
        super().__init__(progress, Step(
            what="training", unit="images", total=total * options.batch_size,
            done=done * options.batch_size, epochs=options.epochs))

    def step(self, state: State, steps_per_epoch: int, rate: float) -> None:
        """Move on by a batch; `rate` is images a second in this epoch, as its line will say."""
        sums = state.sums
        # at the end of an epoch its number has not risen yet
        epoch = state.epoch + 1
        self.tell(
            done=self._work.done + self._options.batch_size, rate=rate,
            at=f"epoch {epoch}/{self._options.epochs}, step {state.step}/{steps_per_epoch}",
            note=f"cls {sums.mean_cls_loss:.3f} loc {sums.mean_loc_loss:.3f}",
            epoch=epoch, step=state.step, steps=steps_per_epoch,
            cls_loss=sums.mean_cls_loss, loc_loss=sums.mean_loc_loss)

    def epoch(self, entry: Epoch) -> None:
        """Tell of an epoch that has ended."""
        self._progress(entry)
