"""The training loop: steps, validation and a checkpoint after every epoch, a clean stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ssdreg import data as datasets
from ssdreg.data import Augmentation, Packed
from ssdreg.data.originals import image_sizes
from ssdreg.data.splits import DataSpec
from ssdreg.errors import Interrupted, RunError
from ssdreg.metrics.coco import evaluate_coco
from ssdreg.metrics.comparison import compare
from ssdreg.metrics.voc import evaluate
from ssdreg.progress import Progress
from ssdreg.runs.log import Epoch, write_log
from ssdreg.runs.run import Run
from ssdreg.training import state as states
from ssdreg.training.engine import Engine
from ssdreg.training.mxnet_engine import MXNetEngine, check_devices
from ssdreg.training.options import TrainOptions
from ssdreg.training.progress import TrainingProgress
from ssdreg.training.start import Taken
from ssdreg.training.state import Saved, State, Sums
from ssdreg.training.stopping import StopRequest

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(kw_only=True)
class Data:
    """What a run trains on, and what it validates on, if anything."""

    source: DataSpec
    train: Packed
    validation: Packed | None
    augmentation: Augmentation | None

    @property
    def issues(self) -> tuple[datasets.DataIssue, ...]:
        """The issues of both data sets, each once."""
        return tuple(dict.fromkeys([*self.train.issues,
                                    *(self.validation.issues if self.validation else ())]))


#: Called with every finished epoch, when its log and its parameters are on the disk.
AfterEpoch = Callable[[Epoch], object]


def train_run(run: Run, data: Data, options: TrainOptions, contexts: Sequence[mx.Context],
              start: Taken | None = None, *, after_epoch: AfterEpoch | None = None,
              progress: Progress | None = None) -> Run:
    """Train a run just created, to its last epoch or until it is asked to stop.

    `contexts` are the devices the batch is divided among; `progress` is told of every step and
    epoch. Raises RunError when the loss stops being a number, Interrupted after a stop by Ctrl-C
    (the state is saved).
    """
    trainer = _Trainer(run, data, options, contexts, after_epoch)
    trainer.engine.begin(start.params if start else None)
    trainer.train(State(), progress)
    return run


def resume_run(run: Run, saved: Saved, data: Data, contexts: Sequence[mx.Context], *,
               after_epoch: AfterEpoch | None = None, progress: Progress | None = None) -> Run:
    """Go on where a run was stopped, step for step as if it had not been.

    The same to the bit; on several devices batch norm's running moments agree to rounding, since
    it is their mean over the devices that is saved.
    """
    trainer = _Trainer(run, data, saved.options, contexts, after_epoch)
    trainer.engine.restore(saved.params, saved.optimizer, saved.state.updates)
    trainer.train(saved.state, progress)
    return run


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's order and augmentation; every epoch has another."""
    return (seed * 1_000_003 + epoch) % 2**31


class _Trainer:
    """The loop of one run, on an engine: to step, validate, save and stop."""

    def __init__(self, run: Run, data: Data, options: TrainOptions,
                 contexts: Sequence[mx.Context], after_epoch: AfterEpoch | None) -> None:
        if data.train.classes != run.classes:
            raise RunError(f"the data's classes ({', '.join(data.train.classes)}) are not those of "
                           f"the run {run.path} ({', '.join(run.classes)}): start another run, "
                           f"with --pretrained {run.path}")
        self.run, self.data, self.options = run, data, options
        self.after_epoch = after_epoch
        check_devices(options, contexts)
        batches = self._open_train(0)
        self.steps_per_epoch = len(batches)
        self.engine: Engine = MXNetEngine(run, options, contexts, batches)
        batches.close()

    def train(self, state: State, progress: Progress | None) -> None:
        """Run epochs from `state` on, until the last or until asked to stop."""
        log = [entry for entry in self.run.log() if entry.epoch <= state.epoch]
        total = self.options.epochs * self.steps_per_epoch
        with StopRequest() as stop, TrainingProgress(
                total, state.updates, self.options, progress) as told:
            while state.epoch < self.options.epochs:
                before, began = state, time.monotonic()
                state = self._epoch(state, told, stop)
                state = evolve(state, seconds=before.seconds + time.monotonic() - began)
                if state.epoch == before.epoch:
                    self._save(state)
                    raise Interrupted
                log.append(self._finish_epoch(state, before, told))
                state = evolve(state, sums=Sums())
                # the log first: a resumed run drops lines behind its state, but misses none
                write_log(self.run.log_file, log)
                self._save(state)
                states.drop_old(self.run, self.options.keep_epochs)
                if self.after_epoch is not None:
                    self.after_epoch(log[-1])
                if stop.requested:
                    raise Interrupted

    def _epoch(self, state: State, told: TrainingProgress, stop: StopRequest) -> State:
        """Step through what is left of an epoch; stop early, between two steps, when asked."""
        began, first = time.monotonic(), state.updates
        batches = self._open_train(state.epoch)
        try:
            batches.start_at(state.step)  # those before were done when the run was stopped
            for index, batch in enumerate(batches, state.step):
                if stop.requested:
                    return state
                rate = self.options.rate(state.updates, self.steps_per_epoch)
                sums = self.engine.step(batch, rate)
                self._check(sums, state, rate)
                state = evolve(state, step=index + 1, updates=state.updates + 1,
                               sums=state.sums.plus(sums))
                told.step(state, self.steps_per_epoch,
                          self._rate(state.updates - first, time.monotonic() - began))
        finally:
            batches.close()
        return evolve(state, epoch=state.epoch + 1, step=0)

    def _check(self, sums: Sums, state: State, rate: float) -> None:
        """Raise RunError when the loss is not finite, with the place and the likely cause."""
        if math.isfinite(sums.cls_loss) and math.isfinite(sums.loc_loss):
            return
        cause = (f"the learning rate ({rate:g}) is too high for this network: try --lr "
                 f"{self.options.lr / 4:g}")
        if not state.updates:
            cause = "the starting parameters or the images hold values that are no numbers"
        before = (f"; the last good state is that of epoch {state.epoch}" if state.epoch else "")
        raise RunError(f"the loss is not a number any more in epoch {state.epoch + 1}, step "
                       f"{state.step + 1} of {self.steps_per_epoch}: likely {cause}{before}")

    def _rate(self, steps: int, seconds: float) -> float:
        """Return images a second."""
        return steps * self.options.batch_size / max(1e-9, seconds)

    def _finish_epoch(self, state: State, before: State, told: TrainingProgress) -> Epoch:
        """Validate when it is time, and say how the epoch went.

        `before` is the state that it was begun in; after a stop, somewhere in its middle.
        """
        entry = Epoch(
            epoch=state.epoch, steps=state.updates, seconds=state.seconds,
            lr=self.options.rate(state.updates - 1, self.steps_per_epoch),
            images_per_second=self._rate(state.updates - before.updates,
                                         state.seconds - before.seconds),
            cls_loss=state.sums.mean_cls_loss, loc_loss=state.sums.mean_loc_loss)
        last = state.epoch == self.options.epochs
        if self.data.validation is not None and (
                last or state.epoch % self.options.validate_every == 0):
            entry = self._validate(self.data.validation, entry)
        told.epoch(entry)
        return entry

    def _validate(self, packed: Packed, entry: Epoch) -> Epoch:
        """Return an epoch's line with what its parameters are worth."""
        plan = self.run.plan
        batches = datasets.open_eval(packed, plan.data_shape, self.options.batch_size,
                                     plan.preprocessing)
        try:
            comparison = compare(self.engine.detect(batches), image_sizes(packed), self.run.classes)
        finally:
            batches.close()
        voc = evaluate([image.detections for image in comparison.images],
                       [image.truths for image in comparison.images], self.run.classes)
        return evolve(entry, map=voc.map, map_07=voc.map_07, coco=evaluate_coco(comparison).figures)

    def _open_train(self, epoch: int) -> datasets.DetectionIter:
        return datasets.open_train(
            self.data.train, self.run.plan.data_shape, self.options.batch_size,
            self.data.augmentation, self.run.plan.preprocessing,
            seed=epoch_seed(self.options.seed, epoch), negatives=not self.options.skip_negatives)

    def _save(self, state: State) -> None:
        states.save(self.run, Saved(state, self.options, self.data.source, self.data.augmentation,
                                    self.engine.params(), self.engine.optimizer()))
