"""PyTorch as the engine that trains."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ssdreg.graph.nodes import Net
from ssdreg.training.learner import Lesson
from ssdreg.training.state_file import Sums
from ssdreg_torch import params as arrays
from ssdreg_torch.compiling import Compiling, SwitchedModule
from ssdreg_torch.detecting import detect
from ssdreg_torch.devices import torch_device
from ssdreg_torch.module import SymbolModule, placed_tensor
from ssdreg_torch.optimizers import groups, make_optimizer
from ssdreg_torch.precision import computing_in
from ssdreg_torch.processes import TorchGroup
from ssdreg_torch.scaling import GradientScaler
from ssdreg_torch.whole_batch import live_moments, over_processes

if TYPE_CHECKING:
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx
    from ssdreg.runs.params import Params

#: A share below this has no logarithm to speak of; MXNet's metrics cut here as well.
LEAST_SHARE = 1e-12


class TorchLearner:
    """A training symbol as modules of PyTorch, one on each device; see `Learner` of ssdreg.

    A batch is divided among the devices. The gradients are summed on the first, which learns, and
    the others take over its parameters. Several processes have a device each, and learn from the
    mean of their gradients. Tensors lie in memory with channels last, which
    convolutions on processors and GPUs take best.
    """

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._net = Net.of(lesson.symbol)
        # the losses of devices are means over their part of a batch already
        self._scale = 1 / len(lesson.devices)
        self._group = lesson.group if isinstance(lesson.group, TorchGroup) else None
        if self._group is not None:
            # those of processes add up to the batch's, where gradients are averaged
            self._scale = self._group.processes.count
            self._net = over_processes(self._net, lesson.shapes, self._group.processes.count,
                                       lesson.options.sync_norm)
        self._devices = [torch_device(device) for device in lesson.devices]
        self._scaler = GradientScaler(self._devices[0].type, lesson.precision)
        self._detector: SymbolModule | None = None

    def begin(self, params: Params) -> None:
        """See `Learner.begin`."""
        self._begin(params, 0)

    def _begin(self, params: Params, updates: int) -> None:
        values = arrays.read(params)
        self._modules = [self._module(values, device) for device in self._devices]
        self._optimizer = make_optimizer(
            self._lesson.options, groups(self._modules[0], self._net, self._lesson.rates))
        switched = [SwitchedModule(module) for module in self._modules]
        self._calls: Sequence[nn.Module] = switched if self._group is None else [
            self._group.parallel(module, self._lesson.options.wire) for module in switched]
        self._compiling = Compiling(switched, self._lesson, self._devices[0], self._group,
                                    self._lesson.steps - updates)

    def restore(self, params: Params, optimizer: Mapping[str, mx.nd.NDArray], updates: int) -> None:
        """See `Learner.restore`."""
        self._begin(params, updates)
        slots = {name: torch.from_numpy(array.asnumpy()) for name, array in optimizer.items()}
        self._optimizer.set_slots(self._modules[0].arguments(), updates, slots)
        self._scaler.set_slots(self._optimizer, slots)

    def step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        """See `Learner.step`."""
        parts = list(zip(self._parts(batch.data[0]), self._parts(batch.label[0])))
        self._compiling.before_step(parts)
        began = time.perf_counter()
        sums = [self._learn(module, images, label)
                for module, (images, label) in zip(self._calls, parts)]
        self._add_gradients()
        self._optimizer.set_rate(rate)
        self._scaler.step(self._optimizer)
        self._optimizer.zero_grad()
        self._share_parameters()
        if self._group is not None:
            moments = self._modules[0].moments()
            self._group.average([moments[name] for name in live_moments(self._net)])
        # what waits for the device
        numbers = torch.stack([total.cpu() for total in sums]).sum(0).tolist()
        self._compiling.after_step(time.perf_counter() - began)
        return Sums(*numbers)

    def params(self) -> Params:
        """See `Learner.params`. Running moments are the mean of the devices'."""
        return arrays.joined(self._modules[0].arguments(), self._moments())

    def optimizer(self) -> Mapping[str, mx.nd.NDArray]:
        """See `Learner.optimizer`."""
        learnt = {name: tensor for name, tensor in self._modules[0].arguments().items()
                  if name not in self._lesson.frozen}
        return {name: arrays.array(tensor) for name, tensor in {
            **self._optimizer.slots(learnt), **self._scaler.slots(self._optimizer)}.items()}

    def detect(self, batches: DetectionIter, params: Params
               ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Learner.detect`; in float32."""
        values = arrays.read(params)
        if self._detector is None:
            net = Net.of(self._lesson.deploy)
            self._detector = SymbolModule(net, values).placed(self._devices[0]).eval()
        self._detector.load(values)
        for batch in batches:
            count = batches.batch_size - batch.pad
            detections = detect(self._detector, batch.data[0].asnumpy())
            yield from zip(detections[:count], batch.label[0].asnumpy()[:count])

    def _module(self, values: Mapping[str, Tensor], device: torch.device) -> SymbolModule:
        module = SymbolModule(self._net, values).placed(device).train()
        parameters = module.arguments()
        for name in self._lesson.frozen:
            parameters[name].requires_grad_(False)
        return module

    def _moments(self) -> dict[str, Tensor]:
        first, *others = (module.moments() for module in self._modules)
        if not others:
            return first
        return {name: torch.stack([value, *(other[name].to(value.device) for other in others)]
                                  ).mean(0) for name, value in first.items()}

    def _parts(self, array: mx.nd.NDArray) -> Iterator[Tensor]:
        """Divide an array of a batch among the devices."""
        for device, part in zip(self._devices, torch.from_numpy(array.asnumpy()).chunk(
                len(self._devices))):
            yield placed_tensor(part, device)

    def _learn(self, module: nn.Module, images: Tensor, label: Tensor) -> Tensor:
        """Add the gradients of a part of a batch; return the four numbers of its `Sums`."""
        with computing_in(self._lesson.precision, images.device):
            (shares, offsets, classes, *_), loss = module(data=images, label=label)
        self._scaler.scale(loss * self._scale).backward()
        counted = classes >= 0
        true = shares.gather(1, classes.clamp(min=0).long()[:, None])[:, 0]
        entropy = -true.clamp(min=LEAST_SHARE).log()[counted].sum()
        return torch.stack((entropy, counted.sum(), offsets.sum(), (classes > 0).sum()))

    @torch.no_grad()
    def _add_gradients(self) -> None:
        first, *others = (list(module.parameters()) for module in self._modules)
        for other in others:
            for total, part in zip(first, other):
                if part.grad is not None and total.grad is not None:
                    total.grad += part.grad.to(total.device)
                    part.grad = None

    @torch.no_grad()
    def _share_parameters(self) -> None:
        first, *others = (list(module.parameters()) for module in self._modules)
        for other in others:
            for parameter, copy in zip(first, other):
                copy.copy_(parameter)

