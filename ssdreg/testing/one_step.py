"""One training step of a detector, then inference.

Weights are initialized as `ssdreg train` does. The checks are about finite values and about
dependencies, not about accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg.anchors.match import grids, shapes
from ssdreg.detector.plan import Plan
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import BATCH_NORM
from ssdreg.runs.params import Params
from ssdreg.testing.small import SmallDetector
from ssdreg.training.freezing import INPUTS
from ssdreg.training.graphs import rewritten

if TYPE_CHECKING:
    from ssdreg.mx import mx

BATCH = 3
SEED = 0
#: The greatest change of a parameter's value in the step.
STEP_SIZE = 0.01
#: Standard deviation of the noise added to vectors, which the initializer leaves constant.
NOISE_SCALE = 0.1


@frozen(eq=False)
class TrainingStep:
    """The results of one training step.

    `taps` are the maps (B, C, h, w) float32 by node. `still` are the names of parameters whose
    gradient is zero everywhere, `lost` those whose gradient is not finite. `params` are the
    parameters after the step.
    """

    taps: Mapping[str, np.ndarray]
    still: tuple[str, ...]
    lost: tuple[str, ...]
    params: Params


@frozen(eq=False)
class InferenceOutputs:
    """The outputs of inference on one batch, and on its images one by one.

    `taps` and `taps_singly` are maps (B, C, h, w) by node; `detections` (B, N, 6) of the batch.
    """

    taps: Mapping[str, np.ndarray]
    taps_singly: Mapping[str, np.ndarray]
    detections: np.ndarray


def noise_images(plan: Plan) -> np.ndarray:
    """Return a batch of noise images: (B, H, W, 3) uint8."""
    return np.random.default_rng(SEED).integers(0, 256, (BATCH, *plan.data_shape, 3), np.uint8)


def input_images(plan: Plan) -> np.ndarray:
    """Return the noise images preprocessed for the backbone: (B, 3, H, W) float32."""
    mean, std = plan.preprocessing.mean, plan.preprocessing.std
    return ((noise_images(plan) - np.array(mean)) / std).transpose(0, 3, 1, 2).astype("float32")


def labels(plan: Plan) -> np.ndarray:
    """Return labels (B, levels, 5) float32: an object for every level in every image.

    It is the first anchor in the middle of the level, so that every level has a positive anchor.
    """
    rows = []
    for level, grid in enumerate(grids(plan)):
        sides = shapes(grid, plan.sizes[level], plan.ratios[level])[0]
        center = np.array([(grid.columns // 2 + 0.5) * grid.across,
                           (grid.rows // 2 + 0.5) * grid.down])
        rows.append([level % plan.num_classes, *(center - sides / 2), *(center + sides / 2)])
    return np.tile(np.array(rows, "float32"), (BATCH, 1, 1))


def train_one_step(detector: SmallDetector, images: np.ndarray) -> TrainingStep:
    """Train for one step from random parameters, by the symbol that MXNet's engine computes."""
    from ssdreg.mx import mx
    objects = labels(detector.plan)
    whole = mx.sym.Group([detector.train, *map(mx.sym.BlockGrad, detector.maps())])
    symbol = rewritten(whole, {"data": images.shape, "label": objects.shape}, "float32")
    parameters = [name for name in symbol.list_arguments() if name not in INPUTS]
    executor = symbol.simple_bind(
        mx.cpu(), grad_req={**dict.fromkeys(INPUTS, "null"), **dict.fromkeys(parameters, "write")},
        data=images.shape, label=objects.shape)
    initialize(executor, symbol)
    executor.forward(is_train=True, data=mx.nd.array(images), label=mx.nd.array(objects))
    maps = {node: output.asnumpy() for node, output
            in zip(detector.taps, executor.outputs[-len(detector.taps):])}
    executor.backward()
    # the backward pass writes batch norm's running moments without telling MXNet's engine
    mx.nd.waitall()
    greatest = {name: float(mx.nd.max(mx.nd.abs(executor.grad_dict[name])).asscalar())
                for name in parameters}
    for name, value in greatest.items():
        if value > 0 and np.isfinite(value):
            # divided by the greatest, so that rounding loses no small gradient
            executor.arg_dict[name] -= executor.grad_dict[name] * (STEP_SIZE / value)
    _settle_moments(executor.aux_dict, whole)
    return TrainingStep(maps,
                        still=tuple(name for name, value in greatest.items() if value == 0),
                        lost=tuple(name for name, value in greatest.items()
                                   if not np.isfinite(value)),
                        params=Params({name: executor.arg_dict[name] for name in parameters},
                                      dict(executor.aux_dict)))


def run_inference(detector: SmallDetector, params: Params, images: np.ndarray) -> InferenceOutputs:
    """Run the deploy symbol on all images as a batch, and on each image alone."""
    from ssdreg.mx import mx
    symbol = mx.sym.Group([detector.deploy, *detector.maps()])

    def run(batch: np.ndarray, executor: mx.Executor) -> list[np.ndarray]:
        return [output.asnumpy() for output in executor.forward(is_train=False, data=batch)]

    batch_outputs = run(mx.nd.array(images), _bind(symbol, params, images.shape))
    single_executor = _bind(symbol, params, (1, *images.shape[1:]))
    single_outputs = [run(mx.nd.array(image[None]), single_executor) for image in images]
    joined = [np.concatenate(parts) for parts in zip(*single_outputs)]
    return InferenceOutputs(dict(zip(detector.taps, batch_outputs[1:])),
                            dict(zip(detector.taps, joined[1:])), batch_outputs[0])


def _bind(symbol: mx.sym.Symbol, params: Params, shape: tuple[int, ...]) -> mx.Executor:
    """Bind for inference; the executor shares the parameters' memory."""
    from ssdreg.mx import mx
    arguments = {name: mx.nd.zeros(shape) if name == "data" else params.args[name]
                 for name in symbol.list_arguments()}
    return symbol.bind(mx.cpu(), arguments, grad_req="null", aux_states={
        name: params.auxs[name] for name in symbol.list_auxiliary_states()})


def initialize(executor: mx.Executor, symbol: mx.sym.Symbol) -> None:
    """Initialize the parameters as He et al. (2015) do, plus noise on vectors.

    Uniform numbers are drawn six times as fast as normal ones. The noise is needed because a scale
    that starts at 0 on purpose (the last normalisation of a residual branch) would make every
    gradient behind it zero in the first step.
    """
    from ssdreg.mx import mx
    mx.random.seed(SEED)  # also for dropout
    generator, attributes = np.random.default_rng(SEED), symbol.attr_dict()
    initializer = mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=6.0)
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        if name not in INPUTS:
            initializer(mx.init.InitDesc(name, attributes.get(name)), array)
        if name in executor.arg_dict and array.ndim == 1:
            array += mx.nd.array(generator.normal(0, NOISE_SCALE, array.shape))


def _settle_moments(moments: Mapping[str, mx.nd.NDArray], symbol: mx.sym.Symbol) -> None:
    """Set batch normalisation's running moments to those of the batch, as after many steps.

    After one step they are still near 0 and 1, and in a deep network all values would be of other
    magnitudes than in training.
    """
    for norm in batch_norms(symbol):
        momentum = norm.attrs.number("momentum", 0.9)
        if momentum < 1:  # with 1 they never change, in training either
            for name, initial in ((norm.inputs[3], 0.0), (norm.inputs[4], 1.0)):
                moments[name][:] = (moments[name] - momentum * initial) / (1 - momentum)


@frozen(eq=False)
class BatchNorm:
    """A batch normalisation: its settings, and the names of its inputs.

    These are what it normalises, the scale, the offset, and the running mean and variance.
    """

    attrs: Attributes
    inputs: tuple[str, ...]

    @property
    def global_stats(self) -> bool:
        """Whether it uses its running moments in training, too."""
        return self.attrs.flag("use_global_stats")

    @property
    def fixed_scale(self) -> bool:
        """Whether its scale is 1 whatever the parameter holds, which is MXNet's default."""
        return self.attrs.flag("fix_gamma", True)


def batch_norms(symbol: mx.sym.Symbol) -> list[BatchNorm]:
    """Return a symbol's batch normalisations."""
    net = Net.of(symbol)
    return [BatchNorm(net.attrs(index), tuple(map(net.name, net.nodes[index].sources)))
            for index in net.find(BATCH_NORM)]
