"""A detector at work, as training and prediction will use it: one step, then inference.

Weights are drawn as `ssdreg train` draws them. Nothing is trained to do anything well: it is
about whether values stay finite, and who depends on whom.
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

if TYPE_CHECKING:
    from ssdreg.mx import mx

BATCH = 3
SEED = 0
#: The farthest that any value of a parameter moves in the step.
STEP = 0.01
#: Variance of the values drawn for what the initializer would leave constant.
NOISE = 0.1


@frozen(eq=False)
class Step:
    """One step of training: the taps' maps on the way, what learnt nothing, and what came out.

    `taps` (B, C, h, w) by node. `still` are the parameters whose gradient is zero everywhere,
    `lost` those whose gradient is not finite. `params` are those after the step.
    """

    taps: Mapping[str, np.ndarray]
    still: tuple[str, ...]
    lost: tuple[str, ...]
    params: Params


@frozen(eq=False)
class Inferred:
    """Inference on one batch, and on its pictures one by one, put together again.

    `taps` and `taps_singly` (B, C, h, w) by node; `detections` (B, N, 6) of the batch.
    """

    taps: Mapping[str, np.ndarray]
    taps_singly: Mapping[str, np.ndarray]
    detections: np.ndarray


def pixels(plan: Plan) -> np.ndarray:
    """Draw a batch of noise as images are: (B, H, W, 3) uint8."""
    return np.random.default_rng(SEED).integers(0, 256, (BATCH, *plan.data_shape, 3), np.uint8)


def pictures(plan: Plan) -> np.ndarray:
    """Return that noise normalised as the backbone wants it: (B, 3, H, W) float32."""
    mean, std = plan.preprocessing.mean, plan.preprocessing.std
    return ((pixels(plan) - np.array(mean)) / std).transpose(0, 3, 1, 2).astype("float32")


def labels(plan: Plan) -> np.ndarray:
    """Put an object into every picture for every level, so that each of them has to learn.

    It is the first anchor in the middle of the level. The shape is (B, levels, 5).
    """
    rows = []
    for level, grid in enumerate(grids(plan)):
        sides = shapes(grid, plan.sizes[level], plan.ratios[level])[0]
        center = np.array([(grid.columns // 2 + 0.5) * grid.across,
                           (grid.rows // 2 + 0.5) * grid.down])
        rows.append([level % plan.num_classes, *(center - sides / 2), *(center + sides / 2)])
    return np.tile(np.array(rows, "float32"), (BATCH, 1, 1))


def step(detector: SmallDetector, images: np.ndarray) -> Step:
    """Train for one step from random parameters."""
    from ssdreg.mx import mx
    objects = labels(detector.plan)
    symbol = mx.sym.Group([detector.train, *map(mx.sym.BlockGrad, detector.maps())])
    learnt = [name for name in symbol.list_arguments() if name not in INPUTS]
    bound = symbol.simple_bind(
        mx.cpu(), grad_req={**dict.fromkeys(INPUTS, "null"), **dict.fromkeys(learnt, "write")},
        data=images.shape, label=objects.shape)
    _draw(bound, symbol)
    bound.forward(is_train=True, data=mx.nd.array(images), label=mx.nd.array(objects))
    maps = {node: output.asnumpy() for node, output
            in zip(detector.taps, bound.outputs[-len(detector.taps):])}
    bound.backward()
    # the backward pass writes batch norm's running moments without telling MXNet's engine
    mx.nd.waitall()
    greatest = {name: float(mx.nd.max(mx.nd.abs(bound.grad_dict[name])).asscalar())
                for name in learnt}
    for name, most in greatest.items():
        if most > 0 and np.isfinite(most):
            # divided by the greatest, no gradient is so small that rounding swallows it
            bound.arg_dict[name] -= bound.grad_dict[name] * (STEP / most)
    _settle(bound.aux_dict, symbol)
    return Step(maps,
                still=tuple(name for name, most in greatest.items() if most == 0),
                lost=tuple(name for name, most in greatest.items() if not np.isfinite(most)),
                params=Params({name: bound.arg_dict[name] for name in learnt},
                              dict(bound.aux_dict)))


def infer(detector: SmallDetector, params: Params, images: np.ndarray) -> Inferred:
    """Run the deploy symbol on all images at once, and on one after the other."""
    from ssdreg.mx import mx
    symbol = mx.sym.Group([detector.deploy, *detector.maps()])

    def run(batch: np.ndarray, bound: mx.Executor) -> list[np.ndarray]:
        return [output.asnumpy() for output in bound.forward(is_train=False, data=batch)]

    together = run(mx.nd.array(images), _bind(symbol, params, images.shape))
    one = _bind(symbol, params, (1, *images.shape[1:]))
    singly = [run(mx.nd.array(image[None]), one) for image in images]
    joined = [np.concatenate(parts) for parts in zip(*singly)]
    return Inferred(dict(zip(detector.taps, together[1:])),
                    dict(zip(detector.taps, joined[1:])), together[0])


def _bind(symbol: mx.sym.Symbol, params: Params, shape: tuple[int, ...]) -> mx.Executor:
    """Bind for inference; the executor shares the parameters' memory."""
    from ssdreg.mx import mx
    arguments = {name: mx.nd.zeros(shape) if name == "data" else params.args[name]
                 for name in symbol.list_arguments()}
    return symbol.bind(mx.cpu(), arguments, grad_req="null", aux_states={
        name: params.auxs[name] for name in symbol.list_auxiliary_states()})


def _draw(bound: mx.Executor, symbol: mx.sym.Symbol) -> None:
    """Draw the parameters as He et al. (2015) do, in general position.

    Uniformly, which is six times as quick as normally. Vectors get some noise on top: a scale
    that starts at 0 on purpose (the last normalisation of a residual branch) would hold back
    every gradient behind it in the first step.
    """
    from ssdreg.mx import mx
    mx.random.seed(SEED)  # also for dropout
    generator, own = np.random.default_rng(SEED), symbol.attr_dict()
    initializer = mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=6.0)
    for name, array in {**bound.arg_dict, **bound.aux_dict}.items():
        if name not in INPUTS:
            initializer(mx.init.InitDesc(name, own.get(name)), array)
        if name in bound.arg_dict and array.ndim == 1:
            array += mx.nd.array(generator.normal(0, NOISE, array.shape))


def _settle(moments: Mapping[str, mx.nd.NDArray], symbol: mx.sym.Symbol) -> None:
    """Let batch normalisation's running moments be those of the batch, as after many steps.

    After one, they are still near 0 and 1; in a deep network no value would be of the size that
    it was trained on.
    """
    for norm in batch_norms(symbol):
        kept = norm.attrs.number("momentum", 0.9)
        if kept < 1:  # else they never learn, in training neither
            for name, start in ((norm.inputs[3], 0.0), (norm.inputs[4], 1.0)):
                moments[name][:] = (moments[name] - kept * start) / (1 - kept)


@frozen(eq=False)
class Norm:
    """A batch normalisation: its settings, and the names of its inputs.

    These are what it normalises, the scale, the offset, and the running mean and variance.
    """

    attrs: Attributes
    inputs: tuple[str, ...]

    @property
    def global_stats(self) -> bool:
        """Whether it never looks at its batch."""
        return self.attrs.flag("use_global_stats")

    @property
    def fixed_scale(self) -> bool:
        """Whether its scale is 1 whatever the parameter holds, which is MXNet's default."""
        return self.attrs.flag("fix_gamma", True)


def batch_norms(symbol: mx.sym.Symbol) -> list[Norm]:
    """Return a symbol's batch normalisations."""
    net = Net.of(symbol)
    return [Norm(net.attrs(index), tuple(map(net.name, net.nodes[index].sources)))
            for index in net.find(BATCH_NORM)]
