"""A symbol as a module: its parameters, and a list of steps that are computed one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from attrs import frozen
from torch import Tensor, nn

from ssdreg.graph.nodes import Entry, Net
from ssdreg_torch.errors import TranslationError
from ssdreg_torch.names import attribute
from ssdreg_torch.operators import (
    activations,
    by_class,
    convolutions,
    cutting,
    detection,
    elementwise,
    losses,
    normalizing,
    pooling,
    products,
    reducing,
    resizing,
    shaping,
)
from ssdreg_torch.operators.normalizing import BATCH_NORMS, FIXED_SCALE, MOMENTS, SCALE
from ssdreg_torch.translation import Operation, operation_of

#: The modules that fill the table of translations.
TRANSLATED_BY = (activations, by_class, convolutions, cutting, detection, elementwise, losses,
                 normalizing, pooling, products, reducing, resizing, shaping)


class Result(NamedTuple):
    """What a symbol's module computes.

    `outputs` are the symbol's, in its order. `loss` is a scalar with the gradient that MXNet's
    losses make up (SoftmaxOutput, MakeLoss, the regressions), summed over them; its value is the
    sum of the losses where they are losses. A MakeLoss of values that only carry a gradient, as
    that of the focal loss, adds those values. 0 without losses, or without their labels.
    """

    outputs: tuple[Tensor, ...]
    loss: Tensor


@frozen(eq=False)
class Step:
    """One operator: its node's name, where its results stand, what it reads, how it computes."""

    name: str
    index: int
    inputs: tuple[Entry, ...]
    operation: Operation


class SymbolModule(nn.Module):
    """An MXNet symbol computed by PyTorch.

    Called with the symbol's inputs by name, such as ``data`` (B, 3, H, W) and ``label`` (B, M, 5),
    it returns a :class:`Result`. Parameters have MXNet's names (see `ssdreg_torch.names`); running
    moments are buffers, and written in the forward pass of training. The scale of a batch
    normalisation with ``fix_gamma`` is 1, as MXNet writes it, and does not learn.
    """

    def __init__(self, net: Net, params: Mapping[str, Tensor]) -> None:
        super().__init__()
        net = net.ordered(*net.heads)
        self._heads = net.heads
        self._attributes: dict[str, str] = {}
        self._moments = _sources(net, MOMENTS)
        fixed = _sources(net, SCALE, only_fixed=True)
        #: The names of the variables that the module is called with.
        self.inputs: tuple[str, ...] = ()
        self._variables: list[tuple[int, str]] = []
        self._steps: list[Step] = []
        for index, node in enumerate(net.nodes):
            if not node.is_variable:
                self._steps.append(Step(node.name, index, node.inputs, operation_of(node)))
                continue
            self._variables.append((index, node.name))
            if node.name not in params:
                self.inputs = (*self.inputs, node.name)
            elif node.name not in self._attributes:
                self._register(node.name, params[node.name], node.name in fixed)

    def _register(self, name: str, values: Tensor, fixed: bool) -> None:
        registered = attribute(name, dir(self))
        self._attributes[name] = registered
        values = torch.ones_like(values) if fixed else values.clone()
        if name in self._moments:
            self.register_buffer(registered, values)
        else:
            learns = values.is_floating_point() and not fixed
            self.register_parameter(registered, nn.Parameter(values, requires_grad=learns))

    def arguments(self) -> dict[str, Tensor]:
        """Return the parameters by MXNet's names."""
        return {name: getattr(self, registered) for name, registered in self._attributes.items()
                if name not in self._moments}

    def moments(self) -> dict[str, Tensor]:
        """Return the running moments of batch normalisations by MXNet's names."""
        return {name: getattr(self, registered) for name, registered in self._attributes.items()
                if name in self._moments}

    def placed(self, device: torch.device) -> SymbolModule:
        """Move it to a device, filters with channels last in memory; return it."""
        self.to(device)
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    def load(self, params: Mapping[str, Tensor]) -> None:
        """Take over parameters and running moments by MXNet's names; see `ssdreg_torch.params`.

        Raises TranslationError when one is missing, or has another shape.
        """
        for name, tensor in {**self.arguments(), **self.moments()}.items():
            if name not in params or params[name].shape != tensor.shape:
                given = tuple(params[name].shape) if name in params else "missing"
                raise TranslationError(f"parameter {name!r} has the shape {tuple(tensor.shape)} "
                                       f"in the network and is {given} among those to load")
        with torch.no_grad():
            for name, tensor in {**self.arguments(), **self.moments()}.items():
                tensor.copy_(params[name])

    def forward(self, **inputs: Tensor) -> Result:
        """Compute the symbol; a label that is not given is one that nothing needs."""
        values: dict[Entry, Tensor | None] = {
            (index, 0): (getattr(self, self._attributes[name]) if name in self._attributes
                         else inputs.get(name)) for index, name in self._variables}
        terms = []
        for step in self._steps:
            read = [values[entry] for entry in step.inputs]
            operation = step.operation
            computed = operation.train(*read) if self.training else operation.infer(*read)
            if operation.loss is not None and all(value is not None for value in read):
                terms.append(operation.loss(*read))
            if isinstance(computed, Tensor):
                values[step.index, 0] = computed
            else:
                values.update({(step.index, place): value
                               for place, value in enumerate(computed)})
        outputs = tuple(_computed(values[head]) for head in self._heads)
        return Result(outputs, sum(terms, outputs[0].new_zeros(())))


def placed_tensor(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, images (B, C, H, W) with channels last in memory."""
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # so that the copy runs beside what is computed
    return tensor.to(device, non_blocking=True)


def _computed(value: Tensor | None) -> Tensor:
    if value is None:
        raise TranslationError("an output of the symbol is an input that was not given")
    return value


def _sources(net: Net, places: Sequence[int], only_fixed: bool = False) -> frozenset[str]:
    """Return the names of what batch normalisations read at some places."""
    return frozenset(
        net.name(net.nodes[index].sources[place]) for index in net.find(*BATCH_NORMS)
        for place in places
        if not only_fixed or net.attrs(index).flag(*FIXED_SCALE))
