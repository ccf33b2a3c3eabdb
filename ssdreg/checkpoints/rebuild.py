"""A checkpoint's network and one that ssdreg builds: are they the same?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg.checkpoints.layout import Layout
from ssdreg.detector.build import design
from ssdreg.detector.overrides import Overrides
from ssdreg.detector.plan import Plan
from ssdreg.errors import SsdregError
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import Predictions
from ssdreg.registry.lazy_reference import resolve
from ssdreg.runs.params import Params

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The head whose parameter names are those of MXNet's example.
HEAD = "ssd"
#: Greatest difference of a prediction, relative to the largest one, between equal networks.
TOLERANCE = 1e-5
#: What a plan states, and `ssdreg.plan` takes over as it is.
_FIELDS = ("from_layers", "num_filters", "strides", "pads", "sizes", "ratios", "normalizations",
           "steps", "variances", "nms_threshold", "nms_topk", "force_suppress", "preprocessing")


@frozen(eq=False)
class Rebuilt:
    """The same detector as `ssdreg.build` makes it, with the largest difference measured."""

    plan: Plan
    symbol: mx.sym.Symbol
    train_symbol: mx.sym.Symbol
    difference: float


def rebuild(backbone: Backbone, stated: Plan, layout: Layout, original: Predictions,
            params: Params | None) -> Rebuilt | None:
    """Build a checkpoint's detector anew; None when what comes out is not the same.

    The same: all parameters of equal names and shapes, and predictions (class scores, offsets,
    anchors) of one random input equal to `TOLERANCE`. Without parameters, random ones serve.
    """
    # what a plan does not state is as ssdreg has it
    if any(prior.clip or prior.chosen or prior.offsets != (0.5, 0.5) for prior in layout.priors) \
            or layout.post_processing != stated.post_processing:
        return None
    settings = {name: getattr(stated, name) for name in _FIELDS}
    try:
        detector = design(backbone, stated.num_classes, stated.data_shape, HEAD,
                          Overrides(**settings))
        deploy, train = detector.symbol("deploy"), detector.symbol("train")
        ours = resolve(detector.head.predict)(detector.sized.symbol, detector.plan)
    except SsdregError:  # a network whose numbers ssdreg would not take
        return None
    if detector.plan.levels != stated.levels:
        return None
    difference = _difference(original, ours, params, stated.data_shape)
    if difference is None or difference > TOLERANCE:
        return None
    return Rebuilt(detector.plan, deploy, train, difference)


def _difference(left: Predictions, right: Predictions, params: Params | None,
                data_shape: tuple[int, int]) -> float | None:
    """Return the greatest relative difference of predictions; None for other parameters."""
    from ssdreg.mx import mx
    symbols = [mx.sym.Group([predictions.cls_pred, predictions.loc_pred, predictions.anchors])
               for predictions in (left, right)]
    shapes = [_shapes(symbol, data_shape) for symbol in symbols]
    if shapes[0] != shapes[1]:
        return None
    random = np.random.default_rng(0)
    values = {"data": mx.nd.array(random.uniform(-128, 127, shapes[0]["data"]))}
    if params is not None:
        # copies, because a batch norm with a fixed gamma writes ones into it
        values.update({name: array.copy() for arrays in (params.args, params.auxs)
                       for name, array in arrays.items()})
    values.update({name: mx.nd.array(_drawn(name, shape, random))
                   for name, shape in shapes[0].items() if name not in values})
    outputs = [_run(symbol, values) for symbol in symbols]
    return max(float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-30))
               for one, other in zip(*outputs))


def _shapes(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    arguments, _, auxiliary = symbol.infer_shape(data=(1, 3, *data_shape))
    return {**dict(zip(symbol.list_arguments(), arguments)),
            **dict(zip(symbol.list_auxiliary_states(), auxiliary))}


def _drawn(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Draw a parameter with which values stay of a size, whatever the depth."""
    if name.endswith(("var", "gamma", "scale")):
        return random.uniform(0.5, 1.0, shape)
    return random.standard_normal(shape, np.float32) / np.float32(math.sqrt(math.prod(shape[1:])))


def _run(symbol: mx.sym.Symbol, values: dict[str, mx.nd.NDArray]) -> list[np.ndarray]:
    from ssdreg.mx import mx
    executor = symbol.bind(
        mx.cpu(), {name: values[name] for name in symbol.list_arguments()}, grad_req="null",
        aux_states={name: values[name] for name in symbol.list_auxiliary_states()})
    return [output.asnumpy() for output in executor.forward(is_train=False)]
