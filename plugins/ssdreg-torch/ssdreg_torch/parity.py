"""One training step and one detection by both engines, compared: the proof of the translation.

They are compared in double precision. In float32 a value that is nearly 0 in front of a ReLU may
come out on either side of it, and batch normalisation of a few values on small maps enlarges
roundings: there a wrong translation could not be told from a right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from ssdreg.detector.by_class import find_detection_by_class
from ssdreg.graph.nodes import Net
from ssdreg.runs.params import Params
from ssdreg.testing import one_step
from ssdreg.testing.small import SmallDetector
from ssdreg.training.freezing import INPUTS
from ssdreg.training.learner import step_outputs
from ssdreg_torch import translate
from ssdreg_torch.doubled import doubled

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The last of them has no objects.
BATCH = 3
#: A gradient, as a share of a network's greatest, below which it is rounding alone.
NOTHING = 1e-7


@frozen
class Parity:
    """How far both engines are apart on one detector, in double precision.

    Shares of the greatest value: of the `outputs` and the `loss` of a training step, of each
    parameter's `gradients` and each of the running `moments`. `targets` is the number of anchors
    with another class target, `detections` the greatest difference of the rows that either
    keeps. For information, `outputs_float32` is how far the outputs are apart in float32, and
    `rounding_float32` how far MXNet's own in float32 are from those in double precision.
    """

    outputs: float
    targets: int
    loss: float
    gradients: float
    moments: float
    detections: float
    outputs_float32: float
    rounding_float32: float


@frozen(eq=False)
class TrainingStep:
    """What a step computes: outputs in their order, gradients and running moments by name."""

    outputs: tuple[np.ndarray, ...]
    loss: float
    gradients: Mapping[str, np.ndarray]
    moments: Mapping[str, np.ndarray]


def compare(detector: SmallDetector) -> Parity:
    """Compare both engines on a detector with random parameters, noise and an object a level."""
    from ssdreg.mx import mx
    symbol = mx.sym.Group([detector.train[name] for name in step_outputs(detector.train)])
    images = one_step.input_images(detector.plan)[:BATCH]
    label = one_step.labels(detector.plan)[:BATCH]
    label[-1] = -1
    params = initial_params(symbol, images, label)
    narrow = [step(symbol, params, images, label) for step in (step_by_torch, step_by_mxnet)]
    wide, precise = doubled(symbol), (images.astype("float64"), label.astype("float64"))
    computed, expected = (step(wide, params, *precise) for step in (step_by_torch, step_by_mxnet))
    return Parity(
        outputs=max(map(apart, computed.outputs[:2], expected.outputs[:2])),
        targets=int(np.sum(computed.outputs[2] != expected.outputs[2])),
        loss=abs(computed.loss - expected.loss) / abs(expected.loss),
        gradients=worst(computed.gradients, expected.gradients),
        moments=worst(computed.moments, expected.moments),
        detections=_detections_apart(doubled(detector.deploy), params, precise[0]),
        outputs_float32=max(map(apart, *(step.outputs[:2] for step in narrow))),
        rounding_float32=max(map(apart, narrow[1].outputs[:2], expected.outputs[:2])))


def apart(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the greatest difference as a share of the greatest expected value."""
    return float(np.abs(values - expected).max() / max(np.abs(expected).max(), 1e-30))


def worst(values: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Return the greatest difference of any array, each as a share of its own greatest value."""
    least = NOTHING * max((np.abs(array).max() for array in expected.values()), default=0.0)
    return max((float(np.abs(values[name] - array).max() / max(np.abs(array).max(), least, 1e-30))
                for name, array in expected.items()), default=0.0)


def initial_params(symbol: mx.sym.Symbol, images: np.ndarray, label: np.ndarray) -> Params:
    """Return the random float32 parameters of ssdreg's own training step."""
    from ssdreg.mx import mx
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape, label=label.shape)
    one_step.initialize(executor, symbol)
    return Params({name: array for name, array in executor.arg_dict.items() if name not in INPUTS},
                  dict(executor.aux_dict))


def step_by_mxnet(symbol: mx.sym.Symbol, params: Params, images: np.ndarray, label: np.ndarray
                  ) -> TrainingStep:
    """Compute a step by MXNet, in the precision of the images."""
    from ssdreg.mx import mx
    names = list(params.args)
    executor = symbol.simple_bind(
        mx.cpu(), data=images.shape, label=label.shape,
        type_dict=dict.fromkeys((*symbol.list_arguments(), *params.auxs), images.dtype),
        grad_req={**dict.fromkeys(INPUTS, "null"), **dict.fromkeys(names, "write")})
    executor.copy_params_from(dict(params.args), dict(params.auxs))
    executor.forward(is_train=True, data=mx.nd.array(images, dtype=images.dtype),
                     label=mx.nd.array(label, dtype=label.dtype))
    executor.backward()
    # the backward pass writes running moments without telling MXNet's engine
    mx.nd.waitall()
    outputs = tuple(output.asnumpy() for output in executor.outputs)
    return TrainingStep(outputs, loss_of(symbol, outputs),
                        {name: executor.grad_dict[name].asnumpy() for name in names},
                        {name: array.asnumpy() for name, array in executor.aux_dict.items()})


def step_by_torch(symbol: mx.sym.Symbol, params: Params, images: np.ndarray, label: np.ndarray
                  ) -> TrainingStep:
    """Compute a step by PyTorch, in the precision of the images."""
    module = translate(symbol, params).to(torch.from_numpy(images).dtype).train()
    outputs, loss = module(data=torch.from_numpy(images), label=torch.from_numpy(label))
    loss.backward()
    return TrainingStep(
        tuple(output.numpy() for output in outputs), float(loss.detach()),
        {name: np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
         for name, parameter in module.arguments().items()},
        {name: moment.numpy() for name, moment in module.moments().items()})


def loss_of(symbol: mx.sym.Symbol, outputs: tuple[np.ndarray, ...]) -> float:
    """Return the value of the losses that MXNet's outputs belong to."""
    net, total = Net.of(symbol), 0.0
    for (index, _), output in zip(net.heads, outputs):
        attrs = net.attrs(index)
        if net.op(index) == "SoftmaxOutput":
            label = outputs[2]
            picked = np.take_along_axis(output, np.maximum(label, 0)[:, None].astype(int), 1)[:, 0]
            counted = label >= 0
            least = np.finfo(output.dtype).tiny
            total -= np.log(np.maximum(picked[counted], least)).sum() / max(counted.sum(), 1)
        else:
            count = (np.sum(output > 0) if attrs.text("normalization") == "valid" else 1)
            total += attrs.number("grad_scale", 1.0) * output.sum(dtype="float64") / max(count, 1)
    return float(total)


def _detections_apart(symbol: mx.sym.Symbol, params: Params, images: np.ndarray) -> float:
    """Return the greatest difference of the rows kept: classes, scores and corners."""
    from ssdreg.mx import mx
    executor = symbol.simple_bind(
        mx.cpu(), data=images.shape, grad_req="null",
        type_dict=dict.fromkeys((*symbol.list_arguments(), *params.auxs), images.dtype))
    executor.copy_params_from(dict(params.args), dict(params.auxs), allow_extra_params=True)
    expected = executor.forward(is_train=False, data=mx.nd.array(images, dtype="float64"))[0]
    module = translate(symbol, params).double().eval()
    with torch.no_grad():
        rows = module(data=torch.from_numpy(images)).outputs[0].numpy()
    reference = expected.asnumpy()
    if find_detection_by_class(Net.of(symbol)) is not None:
        rows, reference = _sorted_rows(rows), _sorted_rows(reference)
    kept = (rows[..., 0] >= 0) | (reference[..., 0] >= 0)
    return float(np.abs(rows - reference)[kept].max(initial=0.0))


def _sorted_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows of each image in an order that equal scores have no part in."""
    # the last key is the first one that counts
    order = np.lexsort(np.moveaxis(rows.round(9), -1, 0)[[5, 4, 3, 2, 0, 1]], axis=-1)
    return np.take_along_axis(rows, order[..., None], axis=-2)
