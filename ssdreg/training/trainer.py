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
from ssdreg.deploy.executor import Inference
from ssdreg.detector.plan import Plan
from ssdreg.errors import Interrupted, RunError
from ssdreg.metrics.coco import evaluate_coco
from ssdreg.metrics.comparison import compare
from ssdreg.metrics.voc import evaluate
from ssdreg.progress import Progress
from ssdreg.registry.head import SHOWN, TRAIN_OUTPUTS
from ssdreg.runs.log import Epoch, write_log
from ssdreg.runs.params import Params
from ssdreg.runs.run import Run
from ssdreg.training import state as states
from ssdreg.training.freezing import INPUTS, backbone_parameters, fixed, with_fixed_norms
from ssdreg.training.options import TrainOptions
from ssdreg.training.progress import TrainingProgress
from ssdreg.training.start import Taken, initializer
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
        """What is wrong with either, said once."""
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
    trainer.begin(start)
    trainer.train(State(), progress)
    return run


def resume_run(run: Run, saved: Saved, data: Data, contexts: Sequence[mx.Context], *,
               after_epoch: AfterEpoch | None = None, progress: Progress | None = None) -> Run:
    """Go on where a run was stopped, step for step as if it had not been.

    The same to the bit; on several devices batch norm's running moments agree to rounding, since
    it is their mean over the devices that is saved.
    """
    trainer = _Trainer(run, data, saved.options, contexts, after_epoch)
    trainer.restore(saved)
    trainer.train(saved.state, progress)
    return run


def check_devices(options: TrainOptions, contexts: Sequence[mx.Context]) -> None:
    """Raise RunError when the batch cannot be divided evenly among the devices."""
    if options.batch_size % len(contexts):
        raise RunError(f"a batch of {options.batch_size} cannot be divided among {len(contexts)} "
                       f"devices: choose a multiple of {len(contexts)}")


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's order and augmentation; every epoch has another."""
    return (seed * 1_000_003 + epoch) % 2**31


def head_rates(symbol: mx.sym.Symbol, plan: Plan, factor: float) -> dict[str, float]:
    """Return the multiplier of the learning rate for every parameter behind the backbone.

    It is `factor` times the one that the symbol itself gives a parameter.
    """
    attributes, backbone = symbol.attr_dict(), backbone_parameters(symbol, plan)
    return {name: factor * float(attributes.get(name, {}).get("__lr_mult__", 1))
            for name in symbol.list_arguments() if name not in {*backbone, *INPUTS}}


def step_outputs(symbol: mx.sym.Symbol) -> list[str]:
    """Return the outputs of a training symbol that a step needs: those read, then other losses.

    The detections are left out, because non-maximum suppression in every step costs time and
    teaches nothing.
    """
    others = [name for name in symbol.list_outputs() if name not in (*TRAIN_OUTPUTS, SHOWN)]
    return [*TRAIN_OUTPUTS, *others]


class _Trainer:
    """A module bound to a run's symbol, with what it takes to step, save and restore it."""

    def __init__(self, run: Run, data: Data, options: TrainOptions,
                 contexts: Sequence[mx.Context], after_epoch: AfterEpoch | None) -> None:
        from ssdreg.mx import mx
        check_devices(options, contexts)
        if data.train.classes != run.classes:
            raise RunError(f"the data's classes ({', '.join(data.train.classes)}) are not those of "
                           f"the run {run.path} ({', '.join(run.classes)}): start another run, "
                           f"with --pretrained {run.path}")
        self.run, self.data, self.options, self.contexts = run, data, options, list(contexts)
        self.after_epoch = after_epoch
        symbol = run.load_symbol("ssd")
        outputs = mx.sym.Group([symbol[name] for name in step_outputs(symbol)])
        stays = fixed(outputs, run.plan, options)
        self.module = mx.mod.Module(
            with_fixed_norms(outputs, stays.norms), data_names=("data",), label_names=("label",),
            context=self.contexts, fixed_param_names=list(stays.parameters))
        batches = self._open_train(0)
        self.steps_per_epoch = len(batches)
        self.module.bind(batches.provide_data, batches.provide_label)
        batches.close()

    def begin(self, start: Taken | None) -> None:
        """Draw parameters at random, but for those taken from a checkpoint."""
        from ssdreg.mx import mx
        mx.random.seed(self.options.seed)
        self.module.init_params(
            initializer(), arg_params=dict(start.params.args) if start else None,
            aux_params=dict(start.params.auxs) if start else None, allow_missing=True)
        self._init_optimizer(0)

    def restore(self, saved: Saved) -> None:
        """Take parameters and the optimizer's state from disk."""
        self.module.init_params(arg_params=dict(saved.params.args),
                                aux_params=dict(saved.params.auxs))
        self._init_optimizer(saved.state.updates)
        if saved.state.updates:  # MXNet makes the arrays at the first update
            self._set_optimizer_arrays(saved.optimizer)

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
                if stop.asked:
                    raise Interrupted

    def _epoch(self, state: State, told: TrainingProgress, stop: StopRequest) -> State:
        """Step through what is left of an epoch; stop early, between two steps, when asked."""
        began, first = time.monotonic(), state.updates
        batches = self._open_train(state.epoch)
        try:
            for index, batch in enumerate(batches):
                if index < state.step:
                    continue  # done before the run was stopped
                if stop.asked:
                    return state
                rate = self.options.rate(state.updates, self.steps_per_epoch)
                sums = self._step(batch, rate)
                self._check(sums, state, rate)
                state = evolve(state, step=index + 1, updates=state.updates + 1,
                               sums=state.sums.plus(sums))
                told.step(state, self.steps_per_epoch,
                          self._rate(state.updates - first, time.monotonic() - began))
        finally:
            batches.close()
        return evolve(state, epoch=state.epoch + 1, step=0)

    def _step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        from ssdreg.mx import mx
        self.module._optimizer.set_learning_rate(rate)
        self.module.forward_backward(batch)
        self.module.update()
        cls_prob, loc_loss, cls_label, *_ = self.module.get_outputs()
        counted = cls_label >= 0
        picked = mx.nd.pick(cls_prob, mx.nd.maximum(cls_label, 0), axis=1)
        entropy = -mx.nd.log(mx.nd.maximum(picked, 1e-12)) * counted
        values = mx.nd.concat(entropy.sum(), counted.sum(), loc_loss.sum(),
                              (cls_label > 0).sum(), dim=0).asnumpy()
        return Sums(*map(float, values))

    def _check(self, sums: Sums, state: State, rate: float) -> None:
        """Stop when the loss is no number any more, and say where and the likely cause."""
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
        inference = Inference(self.run.load_symbol(), self._params(), self.options.batch_size,
                              plan.data_shape, self.contexts[0])
        batches = datasets.open_eval(packed, plan.data_shape, self.options.batch_size,
                                     plan.preprocessing)
        try:
            found = compare(inference.detect_all(batches), image_sizes(packed), self.run.classes)
        finally:
            batches.close()
        voc = evaluate([image.detections for image in found.images],
                       [image.truths for image in found.images], self.run.classes)
        return evolve(entry, map=voc.map, map_07=voc.map_07, coco=evaluate_coco(found).figures)

    def _open_train(self, epoch: int) -> datasets.DetectionIter:
        return datasets.open_train(
            self.data.train, self.run.plan.data_shape, self.options.batch_size,
            self.data.augmentation, self.run.plan.preprocessing,
            seed=epoch_seed(self.options.seed, epoch), negatives=not self.options.skip_negatives)

    def _params(self) -> Params:
        from ssdreg.mx import mx
        # the backward pass writes batch norm's running moments without telling MXNet's engine:
        # read before it has ended, they are those of the step before
        mx.nd.waitall()
        return Params(*self.module.get_params())

    def _save(self, state: State) -> None:
        states.save(self.run, Saved(state, self.options, self.data.source, self.data.augmentation,
                                    self._params(), self._optimizer_arrays()))

    def _init_optimizer(self, updates: int) -> None:
        from ssdreg.mx import mx
        options = self.options
        momentum = {"momentum": options.momentum} if options.optimizer in ("sgd", "nag") else {}
        store = mx.kv.create("device") if len(self.contexts) > 1 else None
        self.module.init_optimizer(kvstore=store, optimizer=options.optimizer, optimizer_params={
            "learning_rate": options.lr, "wd": options.wd, "begin_num_update": updates,
            # the losses are means over the batch already, one on each device
            "rescale_grad": 1.0 / len(self.contexts), **momentum})
        self.module._optimizer.set_lr_mult(
            head_rates(self.module.symbol, self.run.plan, options.head_lr))

    # The updater is private to MXNet's module, which saves its state as a pickle only. A pickle
    # runs code when it is read, and MXNet 1.9.1 is final, so the arrays are taken from there.

    def _optimizer_arrays(self) -> dict[str, mx.nd.NDArray]:
        arrays = {}
        for index, state in self.module._updater.states.items():
            slots = state if isinstance(state, (tuple, list)) else (state,)
            arrays.update({f"{index}.{slot}": array for slot, array in enumerate(slots)
                           if array is not None})
        return arrays

    def _set_optimizer_arrays(self, arrays: dict[str, mx.nd.NDArray]) -> None:
        group, updater = self.module._exec_group, self.module._updater
        devices = len(self.contexts)
        for number, (weights, gradients) in enumerate(zip(group.param_arrays, group.grad_arrays)):
            for device, (weight, gradient) in enumerate(zip(weights, gradients)):
                if gradient is None:
                    continue  # a frozen parameter
                index = number * devices + device
                state = updater.optimizer.create_state_multi_precision(index, weight)
                slots = state if isinstance(state, (tuple, list)) else (state,)
                for slot, array in enumerate(slots):
                    if array is not None:
                        arrays[f"{index}.{slot}"].copyto(array)
                updater.states[index] = state
                updater.states_synced[index] = True
