"""An exported folder against MXNet: its detections, its loss and the gradients of that.

In double precision, as in `ssdreg_torch.parity`, where it is said why. The file is imported as its
owner would import it; nothing of this plug-in computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from ssdreg.deploy.model import DeployModel
from ssdreg.detector.plan import Plan
from ssdreg.graph.nodes import Net
from ssdreg.testing import one_step
from ssdreg.training.learner import step_outputs
from ssdreg_torch import parity
from ssdreg_torch.doubled import doubled
from ssdreg_torch.export import write
from ssdreg_torch.export.running import imported

if TYPE_CHECKING:
    from ssdreg.mx import mx

CLASSES = ("circle", "square", "triangle")


@frozen
class ExportedParity:
    """How far an exported folder and MXNet are apart on one detector.

    In double precision: the greatest difference of any number of a row that is found
    (`detections`, infinite where another number of rows is), of the `loss` as a share of it, and of
    each parameter's `gradients` as a share of its own greatest. In float32: the loss of the folder
    (`loss_float32`) and that of MXNet (`loss_float32_mxnet`), both against MXNet's in double
    precision.
    """

    detections: float
    loss: float
    gradients: float
    loss_float32: float
    loss_float32_mxnet: float


class ExportedCase:
    """A detector with random parameters, exported to an empty folder, and a batch of noise.

    The last picture has no objects.
    """

    def __init__(self, plan: Plan, train: mx.sym.Symbol, deploy: mx.sym.Symbol, folder: Path,
                 batch: int | None = None) -> None:
        from ssdreg.mx import mx
        self.plan, self.deploy, self.folder = plan, deploy, folder
        self.symbol = mx.sym.Group([train[name] for name in step_outputs(train)])
        images, label = one_step.input_images(plan)[:batch], one_step.labels(plan)[:batch]
        label[-1] = -1
        self.label = label
        self.params = parity.initial_params(self.symbol, images, label)
        pixels = one_step.noise_images(plan)[:batch]
        self.pixels = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
        settings = plan.preprocessing
        self.images = ((pixels - np.array(settings.mean)) / settings.std).transpose(0, 3, 1, 2)
        write(DeployModel("noise", deploy, self.params, plan, CLASSES), train, folder)
        self.network = self.loaded().double()
        for name in ("mean", "std"):  # whose numbers need not be floats
            value = torch.tensor(getattr(settings, name), dtype=torch.float64)
            getattr(self.network, name).copy_(value.reshape(3, 1, 1))

    def loaded(self) -> Any:
        """Return the exported network with its parameters, float32."""
        return imported(self.folder).load()

    def detections_apart(self) -> float:
        """Return the greatest difference of any number of a row, infinite for other rows."""
        from ssdreg.mx import mx
        symbol = doubled(self.deploy)
        executor = _bound(symbol, self.params, {"data": self.images.shape})
        rows = executor.forward(is_train=False, data=mx.nd.array(self.images, dtype="float64"))
        greatest = 0.0
        for expected, found in zip(rows[0].asnumpy(), self.network.eval().detect(self.pixels)):
            kept = expected[expected[:, 0] >= 0]
            if kept.shape != tuple(found.shape):
                return float("inf")
            greatest = max(greatest, float(np.abs(found.numpy() - kept).max(initial=0.0)))
        return greatest

    def expected_step(self) -> parity.TrainingStep:
        """Return MXNet's training step in double precision."""
        return parity.step_by_mxnet(doubled(self.symbol), self.params, self.images,
                                    self.label.astype("float64"))

    def loss_and_gradients(self) -> tuple[float, list[np.ndarray]]:
        """Return the folder's loss, and its gradients that are not 0, in double precision."""
        self.network.train().zero_grad()
        loss = self.network.loss(self.pixels, torch.from_numpy(self.label))
        loss.backward()
        gradients = [tensor.grad.numpy() for tensor in self.network.parameters()
                     if tensor.grad is not None]
        return float(loss.detach()), [array for array in gradients if np.abs(array).max()]

    def loss_of(self, step: parity.TrainingStep, precision: str = "float64") -> float:
        """Return the loss of MXNet's step, without what a focal head adds to its output."""
        if self.plan.loss != "focal":
            return step.loss
        return _without_probabilities(self, step, precision)

    def step_in_float32(self) -> parity.TrainingStep:
        """Return MXNet's training step in float32."""
        return parity.step_by_mxnet(self.symbol, self.params, self.images.astype("float32"),
                                    self.label.astype("float32"))


def compare(case: ExportedCase) -> ExportedParity:
    """Compare an exported folder with MXNet."""
    # first: a training step writes running moments
    detections = case.detections_apart()
    expected = case.expected_step()
    loss = case.loss_of(expected)
    found, gradients = case.loss_and_gradients()
    narrow = case.loaded().train()
    by_folder = float(narrow.loss(case.pixels, torch.from_numpy(case.label)).detach())
    by_mxnet = case.loss_of(case.step_in_float32(), "float32")
    return ExportedParity(
        detections=detections, loss=abs(found - loss) / abs(loss),
        gradients=gradients_apart(gradients, expected.gradients),
        loss_float32=abs(by_folder - loss) / abs(loss),
        loss_float32_mxnet=abs(by_mxnet - loss) / abs(loss))


def gradients_apart(found: list[np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Return the greatest difference of any gradient, each as a share of its own greatest value.

    Names are the folder's own: a gradient is held against the nearest of its shape. Infinite where
    another number of them is not 0.
    """
    wanted = [gradient for gradient in expected.values() if np.abs(gradient).max()]
    if len(found) != len(wanted):
        return float("inf")
    least = parity.NOTHING * max(np.abs(gradient).max() for gradient in wanted)
    return max(min((float(np.abs(array - gradient).max()) for array in found
                    if array.shape == gradient.shape), default=float("inf"))
               / max(np.abs(gradient).max(), least) for gradient in wanted)


def _without_probabilities(case: ExportedCase, step: parity.TrainingStep, precision: str) -> float:
    from ssdreg.mx import mx
    internals, net = case.symbol.get_internals(), Net.of(case.symbol)
    # what `ssdreg.ops.learning` makes of the losses of anchors begins with a difference
    index = next(index for index in net.find("elemwise_sub")
                 if net.op(net.inputs(index)[1][0]) == "BlockGrad"
                 and net.inputs(net.inputs(index)[1][0])[0] == net.inputs(index)[0])
    part = mx.sym.Group([internals[f"{net.name(net.inputs(index)[0][0])}_output"]])
    widen: Callable[[Any], Any] = doubled if precision == "float64" else lambda symbol: symbol
    inputs = {"data": case.images.astype(precision), "label": case.label.astype(precision)}
    executor = _bound(widen(part), case.params,
                      {name: array.shape for name, array in inputs.items()}, precision)
    losses = executor.forward(is_train=True, **{
        name: mx.nd.array(array, dtype=precision) for name, array in inputs.items()})[0].asnumpy()
    offsets = step.outputs[1]
    return float(losses.sum() + offsets.sum() / max((offsets > 0).sum(), 1))


def _bound(symbol: mx.sym.Symbol, params: Any, shapes: Mapping[str, tuple[int, ...]],
           precision: str = "float64") -> Any:
    from ssdreg.mx import mx
    executor = symbol.simple_bind(
        mx.cpu(), grad_req="null", **shapes,
        type_dict=dict.fromkeys((*symbol.list_arguments(), *params.auxs), np.dtype(precision)))
    executor.copy_params_from(dict(params.args), dict(params.auxs), allow_extra_params=True)
    return executor
