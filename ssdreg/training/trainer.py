"""The training loop: steps, validation and a checkpoint after every epoch, a clean stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from attrs import astuple, evolve, frozen

from ssdreg import data as datasets
from ssdreg.data import Augmentation, Packed
from ssdreg.data.iterator import reading_threads
from ssdreg.data.originals import image_sizes
from ssdreg.data.splits import DataSpec
from ssdreg.engines.choice import Choice
from ssdreg.engines.processes import Alone, Group, any_says
from ssdreg.errors import DivergedError, Interrupted, RunError
from ssdreg.metrics.coco import evaluate_coco
from ssdreg.metrics.comparison import compare
from ssdreg.metrics.voc import evaluate
from ssdreg.progress import Note, Progress, silent
from ssdreg.runs.log import Epoch, is_level, write_log
from ssdreg.runs.params import Params
from ssdreg.runs.run import Run
from ssdreg.training import state as states
from ssdreg.training.averaging import Average
from ssdreg.training.learner import Learner, prepare_lesson
from ssdreg.training.network import Network
from ssdreg.training.options import TrainOptions
from ssdreg.training.progress import TrainingProgress
from ssdreg.training.start import Taken, check_saved, draw
from ssdreg.training.state import Saved
from ssdreg.training.state_file import State, Sums
from ssdreg.training.stopping import StopRequest


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


def train_run(run: Run, data: Data, options: TrainOptions, choice: Choice,
              start: Taken | None = None, *, group: Group | None = None,
              after_epoch: AfterEpoch | None = None, progress: Progress | None = None) -> Run:
    """Train a run just created, to its last epoch or until it is asked to stop.

    `choice` is what computes; `progress` is told of that, and of every step and epoch. Of several
    processes, which are the `group`, all call this, and the first validates and writes. Raises
    DivergedError when the loss stops being a number, Interrupted after a stop by Ctrl-C
    (the state is saved).
    """
    trainer = _Trainer(run, data, options, choice, group, after_epoch, progress)
    params = draw(trainer.lesson, start.params if start else None)
    trainer.learner.begin(params)
    trainer.begin_average(params)
    trainer.train(State(), progress)
    return run


def resume_run(run: Run, saved: Saved, data: Data, choice: Choice, *,
               group: Group | None = None,
               after_epoch: AfterEpoch | None = None, progress: Progress | None = None) -> Run:
    """Go on where a run was stopped, step for step as if it had not been.

    The same to the bit where the same engine computes; on several devices batch norm's running
    moments agree to rounding, since it is their mean over the devices that is saved.
    """
    trainer = _Trainer(run, data, saved.options, choice, group, after_epoch, progress)
    state = saved.state
    if state.step >= trainer.steps_per_epoch:
        raise RunError(f"{run.path} stands after step {state.step} of an epoch, which has "
                       f"{trainer.steps_per_epoch} with these data: give those it was trained on")
    if not state.updates:
        params = draw(trainer.lesson, saved.params)
        trainer.learner.begin(params)
        trainer.begin_average(params)
    else:
        check_saved(trainer.lesson, saved, run.path)
        if state.updates == state.optimizer_began:
            trainer.learner.begin(saved.params)
        else:
            trainer.learner.restore(saved.params, saved.optimizer,
                                    state.updates - state.optimizer_began)
        trainer.begin_average(saved.average or saved.params)
    if state.epoch and not run.log():
        (progress or silent)(Note(f"{run.log_file} has no line of the {state.epoch} epochs so far: "
                                  f"what they reached is not known any more"))
    trainer.train(state, progress)
    return run


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's order and augmentation; every epoch has another."""
    return (seed * 1_000_003 + epoch) % 2**31


class _Trainer:
    """The loop of one run, on any engine: to step, validate, save and stop."""

    def __init__(self, run: Run, data: Data, options: TrainOptions,
                 choice: Choice, group: Group | None, after_epoch: AfterEpoch | None,
                 progress: Progress | None) -> None:
        if data.train.classes != run.classes:
            raise RunError(f"the data's classes ({', '.join(data.train.classes)}) are not those of "
                           f"the run {run.path} ({', '.join(run.classes)}): start another run, "
                           f"with --pretrained {run.path}")
        self.run, self.data, self.options = run, data, options
        self.after_epoch, self.engine = after_epoch, choice.engine.name
        self.group = group or Alone()
        self.processes = self.group.processes
        precision = choice.precision(options.precision)
        batches = self._open_train(0)
        try:
            self.steps_per_epoch = len(batches)
            self.lesson = prepare_lesson(
                Network(run.plan, run.load_symbol("ssd"), run.load_symbol()), options,
                choice.devices, precision, {name: tuple(shape) for name, shape in (
                    *batches.provide_data, *batches.provide_label)}, self.group,
                steps=options.epochs * self.steps_per_epoch, tell=progress or silent)
            self.learner: Learner = choice.engine.learn(self.lesson)
        finally:
            batches.close()
        # the first process writes and validates, and all have the same parameters
        self.average = (Average(options.average * self.steps_per_epoch)
                        if options.average and self.processes.is_first else None)
        (progress or silent)(Note(choice.describe(precision)))

    def begin_average(self, params: Params) -> None:
        """Start the average of the parameters, or go on with it, where there is one."""
        if self.average is not None:
            self.average.begin(params)

    def train(self, state: State, progress: Progress | None) -> None:
        """Run epochs from `state` on, until the last or until asked to stop."""
        log = [entry for entry in self.run.log() if entry.epoch <= state.epoch]
        total = self.options.epochs * self.steps_per_epoch
        with StopRequest() as stop, TrainingProgress(
                total, state.updates, self.options, progress) as told:
            while state.epoch < self.options.epochs and not self._is_level(log):
                before, began = state, time.monotonic()
                state = self._epoch(state, told, stop)
                state = evolve(state, seconds=before.seconds + time.monotonic() - began)
                ended = state.epoch > before.epoch
                if self.processes.is_first:
                    if ended:
                        log.append(self._finish_epoch(state, before, told))
                        self._write_epoch(evolve(state, sums=Sums()), log)
                    else:
                        self._save(state)
                state = evolve(state, sums=Sums()) if ended else state
                # the others wait here until all is written
                if any_says(self.group, stop.requested) or not ended:
                    raise Interrupted

    def _is_level(self, log: list[Epoch]) -> bool:
        """Tell whether validations have not become better for as long as the recipe waits."""
        # the first process has the log
        return bool(self.options.patience) and any_says(
            self.group, is_level(log, self.options.patience))

    def _write_epoch(self, state: State, log: list[Epoch]) -> None:
        # the log first: a resumed run drops lines behind its state, but misses none
        write_log(self.run.log_file, log)
        self._save(state)
        if self.after_epoch is not None:
            self.after_epoch(log[-1])

    def _epoch(self, state: State, told: TrainingProgress, stop: StopRequest) -> State:
        """Step through what is left of an epoch; stop early, between two steps, when asked."""
        began, first = time.monotonic(), state.updates
        batches = self._open_train(state.epoch)
        try:
            batches.start_at(state.step)  # those before were done when the run was stopped
            stopping = False
            for index, batch in enumerate(batches, state.step):
                # all stop before the same step: a process by itself before the next, and several
                # when they have told each other so with the losses of one
                if stopping or (self.processes.count == 1 and stop.requested):
                    return state
                rate = self.options.rate(state.updates, self.steps_per_epoch)
                *totals, stops = self.group.sum((
                    *astuple(self.learner.step(batch, rate)), float(stop.requested)))
                sums, stopping = Sums(*totals), stops > 0
                self._check(sums, state, rate)
                state = evolve(state, step=index + 1, updates=state.updates + 1,
                               sums=state.sums.plus(sums))
                if self.average is not None:
                    self.average.after(state.updates, self.learner.params)
                told.step(state, self.steps_per_epoch,
                          self._rate(state.updates - first, time.monotonic() - began))
        finally:
            batches.close()
        return evolve(state, epoch=state.epoch + 1, step=0)

    def _check(self, sums: Sums, state: State, rate: float) -> None:
        """Raise DivergedError when the loss is not finite, with the place and the likely cause."""
        if math.isfinite(sums.cls_loss) and math.isfinite(sums.loc_loss):
            return
        cause = (f"the learning rate ({rate:g}) is too high for this network: try --lr "
                 f"{self.options.lr / 4:g}")
        if not state.updates:
            cause = "the starting parameters or the images hold values that are no numbers"
        before = (f"; the last good state is that of epoch {state.epoch}" if state.epoch else "")
        raise DivergedError(f"the loss is not a number any more in epoch {state.epoch + 1}, step "
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
        batches = datasets.open_eval(
            packed, plan.data_shape, self.options.batch_size // self.processes.count,
            plan.preprocessing)
        try:
            comparison = compare(self.learner.detect(batches, self._deployed()),
                                 image_sizes(packed), self.run.classes)
        finally:
            batches.close()
        voc = evaluate([image.detections for image in comparison.images],
                       [image.truths for image in comparison.images], self.run.classes)
        return evolve(entry, map=voc.map, map_07=voc.map_07, coco=evaluate_coco(comparison).figures)

    def _open_train(self, epoch: int) -> datasets.DetectionIter:
        return datasets.open_train(
            self.data.train, self.run.plan.data_shape, self.options.batch_size,
            self.data.augmentation, self.run.plan.preprocessing,
            seed=epoch_seed(self.options.seed, epoch), negatives=not self.options.skip_negatives,
            threads=reading_threads(self.processes.local_count),
            part=(self.processes.rank, self.processes.count))

    def _deployed(self) -> Params:
        """Return the parameters that detect: the average of the learnt ones, where there is one."""
        return self.learner.params() if self.average is None else self.average.params

    def _save(self, state: State) -> None:
        states.save(self.run, Saved(state, self.options, self.data.source, self.data.augmentation,
                                    self.learner.params(), self.learner.optimizer(), self.engine,
                                    None if self.average is None else self.average.params))
