"""MXNet as the engine that trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen
from ssdreg_runtime.system.memory import available_memory

from ssdreg.deploy.devices import context
from ssdreg.deploy.executor import Inference
from ssdreg.errors import RunError
from ssdreg.registry.device import CPU
from ssdreg.registry.head import TRAIN_OUTPUTS
from ssdreg.runs.params import Params
from ssdreg.training.graphs import rewritten
from ssdreg.training.graphs.shares import SHARE, live_moments, with_shares
from ssdreg.training.learner import Lesson
from ssdreg.training.memory import STATES, Need, parameters, planned
from ssdreg.training.mxnet_processes import MXNetGroup
from ssdreg.training.mxnet_wires import Wire, wire_of
from ssdreg.training.state_file import Sums

if TYPE_CHECKING:
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx

#: The output of a training symbol that has the labels of the anchors.
_LABELS = TRAIN_OUTPUTS.index("cls_label_output")


@frozen
class _Learnt:
    """A parameter that learns: its name, the updater's index of the first device's, and the values
    and gradients of every device.
    """

    name: str
    index: int
    weights: Sequence[mx.nd.NDArray]
    gradients: Sequence[mx.nd.NDArray]


class MXNetLearner:
    """A module of MXNet bound to a training symbol; see `Learner`.

    A batch is divided among the devices, whose copies of a parameter stay equal, since all of them
    learn from the sum of the gradients. So do several processes, which have a device each.
    """

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._contexts = [context(device) for device in lesson.devices]
        self._group = lesson.group if isinstance(lesson.group, MXNetGroup) else None
        self._shares: Mapping[int, str] = {}
        self._moments: tuple[str, ...] = ()
        self._wire: Wire | None = None
        symbol = lesson.symbol
        if self._group is not None:
            _refuse_sync_norm(lesson)
            shared = with_shares(symbol, _LABELS)
            symbol, self._shares = shared.symbol, shared.inputs
            self._moments = live_moments(symbol)
            self._wire = wire_of(self._group, lesson.options.wire)
        self._unwritten, self._symbol = symbol, _symbol(lesson, symbol)
        self._module = self._bound(available_memory())

    def _bound(self, memory: float) -> mx.mod.Module:
        """Bind for the batch; raise RunError where it takes more than this `memory`, in bytes."""
        images, need = self._lesson.shapes["data"][0], math.inf
        try:
            module = self._bound_for(images, self._symbol)
            need = self._need(module)
        except RuntimeError as error:  # MXNet's, "Failed to allocate CPU Memory" in its text
            if "allocate" not in str(error):
                raise
        if need > memory:
            raise RunError(self._too_large(images, need, memory))
        return module

    def _bound_for(self, images: int, symbol: mx.sym.Symbol) -> mx.mod.Module:
        from ssdreg.mx import mx
        module = mx.mod.Module(symbol, data_names=("data",), label_names=("label",),
                               context=self._contexts,
                               fixed_param_names=[*self._lesson.frozen,
                                                  *self._shares.values()])
        data, label = ((name, (images, *self._lesson.shapes[name][1:]))
                       for name in ("data", "label"))
        module.bind([data], [label])
        return module

    def _need(self, module: mx.mod.Module) -> float:
        """Return the bytes of this computer's memory that training takes."""
        if self._lesson.devices[0].kind != CPU:
            return 0.0
        states = STATES[self._lesson.options.optimizer]
        return sum(planned(executor) + parameters(executor, states)
                   for executor in module._exec_group.execs)

    def _too_large(self, images: int, need: float, memory: float) -> str:
        """Say which batch fits instead."""
        devices = len(self._contexts)
        recomputing = _symbol(evolve(self._lesson, options=evolve(
            self._lesson.options, recompute=True)), self._unwritten)
        kept, recomputed = (Need.between(*((count, self._need(self._bound_for(count, symbol)))
                                           for count in (devices, 2 * devices)))
                            for symbol in (self._symbol, recomputing))
        fits = kept.largest_batch(memory, devices)
        advice = (f"the largest that fits is --batch-size {fits}" if fits else
                  "not even one image fits: choose a smaller --data-shape")
        # in bfloat16, and without normalizations to compute again, it brings next to nothing
        pays = recomputed.an_image < 0.95 * kept.an_image
        recompute = ", or --recompute, which takes less" if pays else ""
        takes = f"takes {need / 2**30:.1f} GiB" if math.isfinite(need) else "cannot be allocated"
        return (f"a batch of {images} {takes}, and {memory / 2**30:.1f} GiB of memory are free: "
                f"{advice}{recompute}")

    def begin(self, params: Params) -> None:
        """See `Learner.begin`."""
        self._init_params(params)
        self._init_optimizer(0)

    def restore(self, params: Params, optimizer: Mapping[str, mx.nd.NDArray], updates: int) -> None:
        """See `Learner.restore`."""
        self._init_params(params)
        self._init_optimizer(updates)
        if updates:  # MXNet makes the arrays at the first update
            self._set_optimizer(optimizer)

    def _init_params(self, params: Params) -> None:
        from ssdreg.mx import mx
        shares = {name: mx.nd.ones((1,)) for name in self._shares.values()}
        self._module.init_params(arg_params={**params.args, **shares},
                                 aux_params=dict(params.auxs))

    def step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        """See `Learner.step`."""
        from ssdreg.mx import mx
        self._module._optimizer.set_learning_rate(rate)
        self._module.forward(batch, is_train=True)
        if self._group is not None:
            self._share_losses(self._group)
        self._module.backward()
        if self._wire is not None:
            self._wire.sum({learnt.name: learnt.gradients[0] for learnt in self._learnt()})
        self._module.update()
        if self._group is not None and self._moments:
            self._average_moments(self._group)
        cls_prob, loc_loss, cls_label, *_ = self._module.get_outputs()
        counted = cls_label >= 0
        picked = mx.nd.pick(cls_prob, mx.nd.maximum(cls_label, 0), axis=1)
        entropy = -mx.nd.log(mx.nd.maximum(picked, 1e-12)) * counted
        values = mx.nd.concat(entropy.sum(), counted.sum(), loc_loss.sum(),
                              (cls_label > 0).sum(), dim=0).asnumpy()
        return Sums(*map(float, values))

    def _share_losses(self, group: MXNetGroup) -> None:
        """Tell the backward pass which share of the whole batch's losses is this process's."""
        from ssdreg.mx import mx
        outputs, arrays = self._module.get_outputs(), self._executor.arg_dict
        counts = mx.nd.concat(*(
            (outputs[number] >= 0 if number == _LABELS else outputs[number] > 0).sum()
            for number in self._shares), dim=0).asnumpy()
        # MXNet, too, divides by 1 where nothing counts
        for name, count, total in zip(self._shares.values(), counts, group.sum(counts)):
            arrays[name][:] = max(float(count), 1.0) / max(total, 1.0)

    def _average_moments(self, group: MXNetGroup) -> None:
        """Let all processes have the mean of their running moments."""
        from ssdreg.mx import mx
        # see `params`: before the backward pass has ended, they are those of the step before
        mx.nd.waitall()
        arrays = [self._executor.aux_dict[name] for name in self._moments]
        joined = mx.nd.concat(*(array.reshape(-1) for array in arrays), dim=0)
        group.sum_array("running moments", joined)
        joined /= group.processes.count
        begin = 0
        for array in arrays:
            array[:] = joined[begin:begin + array.size].reshape(array.shape)
            begin += array.size

    @property
    def _executor(self) -> mx.executor.Executor:
        return self._module._exec_group.execs[0]

    def params(self) -> Params:
        """See `Learner.params`."""
        from ssdreg.mx import mx
        # the backward pass writes batch norm's running moments without telling MXNet's engine:
        # read before it has ended, they are those of the step before
        mx.nd.waitall()
        args, auxs = self._module.get_params()
        return Params({name: array for name, array in args.items()
                       if not name.startswith(SHARE)}, auxs)

    def detect(self, batches: DetectionIter, params: Params
               ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Learner.detect`."""
        inference = Inference(self._lesson.deploy, params, batches.batch_size,
                              self._lesson.plan.data_shape, self._contexts[0])
        return inference.detect_all(batches)

    def _init_optimizer(self, updates: int) -> None:
        from ssdreg.mx import mx
        options = self._lesson.options
        momentum = {"momentum": options.momentum} if options.optimizer in ("sgd", "nag") else {}
        store = mx.kv.create("device") if len(self._contexts) > 1 else None
        if self._group is not None and self._wire is None:
            store = self._group.store
        self._module.init_optimizer(kvstore=store, optimizer=options.optimizer, optimizer_params={
            "learning_rate": options.lr, "wd": options.wd, "begin_num_update": updates,
            # the losses are means over the batch already, one on each device
            "rescale_grad": 1.0 / len(self._contexts), **momentum})
        self._module._optimizer.set_lr_mult(dict(self._lesson.rates))

    # The updater is private to MXNet's module, which saves its state as a pickle only. A pickle
    # runs code when it is read, and MXNet 1.9.1 is final, so the arrays are taken from there.

    def optimizer(self) -> Mapping[str, mx.nd.NDArray]:
        """See `Learner.optimizer`. The first device's are those of all."""
        states = self._module._updater.states
        return {f"{learnt.name}.{slot}": array
                for learnt in self._learnt() if learnt.index in states
                for slot, array in enumerate(_slots(states[learnt.index])) if array is not None}

    def _set_optimizer(self, arrays: Mapping[str, mx.nd.NDArray]) -> None:
        updater = self._module._updater
        for learnt in self._learnt():
            for index, weight in enumerate(learnt.weights, learnt.index):
                state = updater.optimizer.create_state_multi_precision(index, weight)
                for slot, array in enumerate(_slots(state)):
                    if array is None:
                        continue
                    name = f"{learnt.name}.{slot}"
                    if name not in arrays:
                        raise RunError(f"the saved state of the optimizer lacks '{name}', which "
                                       f"{self._lesson.options.optimizer} needs: it is of another "
                                       f"recipe")
                    arrays[name].copyto(array)
                updater.states[index] = state
                updater.states_synced[index] = True

    def _learnt(self) -> Iterator[_Learnt]:
        """Give the parameters that learn, and not those that are frozen."""
        group, devices = self._module._exec_group, len(self._contexts)
        for number, (name, weights, gradients) in enumerate(zip(
                group.param_names, group.param_arrays, group.grad_arrays)):
            if gradients[0] is not None:
                yield _Learnt(name, number * devices, weights, gradients)


def _refuse_sync_norm(lesson: Lesson) -> None:
    if lesson.options.sync_norm:
        raise RunError("--sync-norm: MXNet takes the moments of batch normalisation from one "
                       "process's part of a batch: choose --engine torch, or --freeze-norm, or "
                       "leave it out")


def _symbol(lesson: Lesson, symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return what a step of this symbol computes on the lesson's devices."""
    if lesson.devices[0].kind != CPU:  # the rules are those of the processors' kernels
        return symbol
    return rewritten(symbol, lesson.shapes, lesson.precision, lesson.options.recompute)


def _slots(state: object) -> Sequence[mx.nd.NDArray | None]:
    """Return the arrays of an optimizer's state of one parameter: none, one or several."""
    return state if isinstance(state, (tuple, list)) else (state,)  # type: ignore[return-value]
