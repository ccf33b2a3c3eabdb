"""MXNet as the engine of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssdreg.deploy.executor import Inference
from ssdreg.detector.plan import Plan
from ssdreg.errors import RunError
from ssdreg.registry.head import SHOWN, TRAIN_OUTPUTS
from ssdreg.runs.params import Params
from ssdreg.runs.run import Run
from ssdreg.training.freezing import INPUTS, backbone_parameters, fixed, with_fixed_norms
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import initializer
from ssdreg.training.state import Sums

if TYPE_CHECKING:
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx


def check_devices(options: TrainOptions, contexts: Sequence[mx.Context]) -> None:
    """Raise RunError when the batch cannot be divided evenly among the devices."""
    if options.batch_size % len(contexts):
        raise RunError(f"a batch of {options.batch_size} cannot be divided among {len(contexts)} "
                       f"devices: choose a multiple of {len(contexts)}")


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


class MXNetEngine:
    """A module of MXNet bound to a run's training symbol; see `Engine`.

    `contexts` are the devices that a batch is divided among; their copies of a parameter stay
    equal, since all of them learn from the sum of the gradients. `like` are batches of the shape
    that will come. Raises RunError when a batch cannot be divided among the devices.
    """

    def __init__(self, run: Run, options: TrainOptions, contexts: Sequence[mx.Context],
                 like: DetectionIter) -> None:
        from ssdreg.mx import mx
        check_devices(options, contexts)
        self._run, self._options, self._contexts = run, options, list(contexts)
        symbol = run.load_symbol("ssd")
        outputs = mx.sym.Group([symbol[name] for name in step_outputs(symbol)])
        stays = fixed(outputs, run.plan, options)
        self._module = mx.mod.Module(
            with_fixed_norms(outputs, stays.norms), data_names=("data",), label_names=("label",),
            context=self._contexts, fixed_param_names=list(stays.parameters))
        self._module.bind(like.provide_data, like.provide_label)

    def begin(self, start: Params | None) -> None:
        """See `Engine.begin`."""
        from ssdreg.mx import mx
        mx.random.seed(self._options.seed)
        self._module.init_params(
            initializer(), arg_params=dict(start.args) if start else None,
            aux_params=dict(start.auxs) if start else None, allow_missing=True)
        self._init_optimizer(0)

    def restore(self, params: Params, optimizer: Mapping[str, mx.nd.NDArray], updates: int) -> None:
        """See `Engine.restore`."""
        self._module.init_params(arg_params=dict(params.args), aux_params=dict(params.auxs))
        self._init_optimizer(updates)
        if updates:  # MXNet makes the arrays at the first update
            self._set_optimizer(optimizer)

    def step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        """See `Engine.step`."""
        from ssdreg.mx import mx
        self._module._optimizer.set_learning_rate(rate)
        self._module.forward_backward(batch)
        self._module.update()
        cls_prob, loc_loss, cls_label, *_ = self._module.get_outputs()
        counted = cls_label >= 0
        picked = mx.nd.pick(cls_prob, mx.nd.maximum(cls_label, 0), axis=1)
        entropy = -mx.nd.log(mx.nd.maximum(picked, 1e-12)) * counted
        values = mx.nd.concat(entropy.sum(), counted.sum(), loc_loss.sum(),
                              (cls_label > 0).sum(), dim=0).asnumpy()
        return Sums(*map(float, values))

    def params(self) -> Params:
        """See `Engine.params`."""
        from ssdreg.mx import mx
        # the backward pass writes batch norm's running moments without telling MXNet's engine:
        # read before it has ended, they are those of the step before
        mx.nd.waitall()
        return Params(*self._module.get_params())

    def detect(self, batches: DetectionIter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Engine.detect`."""
        inference = Inference(self._run.load_symbol(), self.params(), batches.batch_size,
                              self._run.plan.data_shape, self._contexts[0])
        return inference.detect_all(batches)

    def _init_optimizer(self, updates: int) -> None:
        from ssdreg.mx import mx
        options = self._options
        momentum = {"momentum": options.momentum} if options.optimizer in ("sgd", "nag") else {}
        store = mx.kv.create("device") if len(self._contexts) > 1 else None
        self._module.init_optimizer(kvstore=store, optimizer=options.optimizer, optimizer_params={
            "learning_rate": options.lr, "wd": options.wd, "begin_num_update": updates,
            # the losses are means over the batch already, one on each device
            "rescale_grad": 1.0 / len(self._contexts), **momentum})
        self._module._optimizer.set_lr_mult(
            head_rates(self._module.symbol, self._run.plan, options.head_lr))

    # The updater is private to MXNet's module, which saves its state as a pickle only. A pickle
    # runs code when it is read, and MXNet 1.9.1 is final, so the arrays are taken from there.

    def optimizer(self) -> Mapping[str, mx.nd.NDArray]:
        """See `Engine.optimizer`. The first device's are those of all."""
        states = self._module._updater.states
        return {f"{name}.{slot}": array for name, index, _ in self._learnt() if index in states
                for slot, array in enumerate(_slots(states[index])) if array is not None}

    def _set_optimizer(self, arrays: Mapping[str, mx.nd.NDArray]) -> None:
        updater = self._module._updater
        for name, first, weights in self._learnt():
            for index, weight in enumerate(weights, first):
                state = updater.optimizer.create_state_multi_precision(index, weight)
                for slot, array in enumerate(_slots(state)):
                    if array is not None:
                        arrays[f"{name}.{slot}"].copyto(array)
                updater.states[index] = state
                updater.states_synced[index] = True

    def _learnt(self) -> Iterator[tuple[str, int, Sequence[mx.nd.NDArray]]]:
        """Give the parameters that learn: names, the updater's first index, arrays by device."""
        group, devices = self._module._exec_group, len(self._contexts)
        for number, (name, weights, gradients) in enumerate(zip(
                group.param_names, group.param_arrays, group.grad_arrays)):
            if gradients[0] is not None:  # else it is frozen
                yield name, number * devices, weights


def _slots(state: object) -> Sequence[mx.nd.NDArray | None]:
    """Return the arrays of an optimizer's state of one parameter: none, one or several."""
    return state if isinstance(state, (tuple, list)) else (state,)  # type: ignore[return-value]
