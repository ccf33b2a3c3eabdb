"""The rule that makes a network's parameters and inputs, and the sampling of what comes out.

The rule is that of the reference files (a value depends on the parameter's name and shape alone),
so that numbers can be compared without carrying a checkpoint around.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from attrs import frozen

import ssdreg
from ssdreg.deploy.random_params import values
from ssdreg.graph.nodes import VARIABLE, Net, Node
from ssdreg.mx import mx

BATCH = 2
PREDICTIONS = ("multibox_cls_pred", "multibox_loc_pred", "multibox_anchors")
SAMPLED = ("cls_pred", "loc_pred", "anchors", "detection", "cls_target", "loc_loss")


@lru_cache(maxsize=400)
def fill(name, shape, salt=""):
    """Return a parameter's values by the rule, as float32 that nobody may change.

    Kept, because drawing those of a large network takes a second, and many tests take the same.
    """
    array = values(name, shape, salt).astype(np.float32)
    array.flags.writeable = False
    return array


def inputs(data_shape, num_classes):
    """Return data (2, 3, H, W) and label (2, 4, 5), as NumPy float32."""
    data = np.random.RandomState(7).uniform(-128, 127, (BATCH, 3, *data_shape))
    label = -np.ones((BATCH, 4, 5), "float32")
    label[:, 0] = [1, .1, .15, .45, .6]
    label[:, 1] = [num_classes - 1, .5, .4, .95, .9]
    label[0, 2] = [0, .3, .3, .42, .38]
    return data.astype("float32"), label


@frozen(eq=False)
class Network:
    """A detector's two symbols with the shapes of their parameters, inputs left out."""

    plan: ssdreg.Plan
    train: mx.sym.Symbol
    deploy: mx.sym.Symbol
    arguments: dict[str, tuple[int, ...]]
    auxiliary: dict[str, tuple[int, ...]]
    train_outputs: list[tuple[str, tuple[int, ...]]]


def network(backbone, num_classes, data_shape, **settings):
    """Build a detector for training and deployment and infer its shapes for a batch of 2."""
    plan = ssdreg.plan(backbone, num_classes, data_shape, **settings)
    train = ssdreg.build(backbone, num_classes, data_shape, mode="train", **settings)
    deploy = ssdreg.build(backbone, num_classes, data_shape, mode="deploy", **settings)
    shapes, outputs, auxiliary = train.infer_shape(data=(BATCH, 3, *plan.data_shape),
                                                   label=(BATCH, 4, 5))
    arguments = dict(zip(train.list_arguments(), shapes))
    for name in ("data", "label"):
        del arguments[name]
    return Network(plan, train, deploy, arguments,
                   dict(zip(train.list_auxiliary_states(), auxiliary)),
                   list(zip(train.list_outputs(), outputs)))


def map_shape(level):
    """Return the shape of a feature level for a batch of 2."""
    return BATCH, level.channels, level.height, level.width


def parameters(network, salt=""):
    """Return (arguments, auxiliary states) by the rule, as NDArrays."""
    return tuple({name: mx.nd.array(fill(name, shape, salt)) for name, shape in shapes.items()}
                 for shapes in (network.arguments, network.auxiliary))


def forward(symbol, arguments, auxiliary, **inputs):
    """Return a symbol's outputs as NumPy arrays, run as in inference."""
    values = {name: mx.nd.array(value) for name, value in inputs.items()}
    executor = symbol.bind(mx.cpu(), {**arguments, **values}, aux_states=auxiliary,
                           grad_req="null")
    return [output.asnumpy() for output in executor.forward(is_train=False)]


def outputs(network, salt=""):
    """Return what the reference files sample, by name: `SAMPLED`."""
    arguments, auxiliary = parameters(network, salt)
    data, label = inputs(network.plan.data_shape, network.plan.num_classes)
    trained, deployed = predictions(network.train), predictions(network.deploy)
    # computed once: it is the same network to the last setting
    assert trained.tojson() == deployed.tojson()
    *predicted, _, loc_loss, cls_target, _ = forward(
        mx.sym.Group([trained, network.train]), arguments, auxiliary, data=data, label=label)
    (detection,) = forward(behind_predictions(network.deploy), {}, {},
                           **dict(zip(PREDICTIONS, predicted)))
    return dict(zip(SAMPLED, (*predicted, detection, cls_target, loc_loss)))


def predictions(symbol):
    """Return what a detector's heads give, `PREDICTIONS`, as a symbol."""
    inside = symbol.get_internals()
    return mx.sym.Group([inside[f"{name}_output"] for name in PREDICTIONS])


def behind_predictions(symbol):
    """Return what a detector makes of its predictions, with these as inputs."""
    net = Net.of(symbol)
    return net.replaced({index: Node(VARIABLE, node.name) for index, node in enumerate(net.nodes)
                         if node.name in PREDICTIONS}).symbol()


def summary(values):
    """Return the sums of a tensor as the reference files hold them."""
    exact = values.astype("float64")
    return {"sum": float(exact.sum()), "abs_sum": float(np.abs(exact).sum())}


def sample(values, count=24):
    """Return a tensor as the reference files hold it: values at some places, and sums."""
    index = np.unique(np.random.RandomState(3).randint(0, values.size, count))
    return {"shape": list(values.shape), "index": index.tolist(),
            "value": [float(value) for value in values.ravel()[index]], **summary(values)}


def among_ties(detection, index, value):
    """Return the sampled value, or one nearer to `value` of a row with the same score.

    Rows are sorted by score, and processors round differently: those whose scores agree in six
    digits may change places.
    """
    image, row, column = np.unravel_index(index, detection.shape)
    scores = detection[image, :, 1]
    ties = np.flatnonzero(np.isclose(scores, scores[row], rtol=1e-6, atol=0))
    candidates = detection[image, ties, column]
    return candidates[np.abs(candidates - value).argmin()]
