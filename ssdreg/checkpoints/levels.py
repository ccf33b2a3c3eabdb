"""From a detector's layout and an input size to its plan."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ssdreg.checkpoints.layout import Layout, Prior
from ssdreg.detector.overrides import LARGEST_SIDE, UNUSED, Step
from ssdreg.detector.plan import OWN_HEAD, Level, Plan
from ssdreg.errors import InputShapeError, RunError
from ssdreg.graph.operators import CONVOLUTIONS
from ssdreg.graph.symbol import Graph, ShapedNode, read_graph
from ssdreg.registry.preprocessing import Preprocessing

#: A level behind the backbone is one or two convolutions; between two taps lie a stage's.
_MOST_EXTRA_CONVOLUTIONS = 2
#: What a scale of L2 normalisation begins with (Liu et al., ParseNet, 2015).
_INITIAL_SCALE = 20.0
#: Strides do not depend on the input's size, so that any serves to read them.
_ANY_SHAPE = (512, 512)


@frozen(eq=False)
class MeasuredDetector:
    """A detector at one input size.

    `graph` is that of its predictions, `features` the levels' nodes in it, `taps` how many of
    them are the backbone's: the rest is made behind it.
    """

    graph: Graph
    features: tuple[ShapedNode, ...]
    taps: int
    num_classes: int
    data_shape: tuple[int, int]


def feature_graph(layout: Layout, data_shape: tuple[int, int]) -> Graph:
    """Return the graph of what a detector predicts, from its input of this size on."""
    heads = (layout.cls_pred, layout.loc_pred, *((node, 0) for node in layout.features))
    return read_graph(layout.net.cut(*heads), data_shape)


def derive_shape(layout: Layout) -> tuple[int, int] | None:
    """Work out the input size from the distance of anchor centres, where anchors tell it.

    A step is a share of the image and a stride a number of pixels: one over the other is the
    image. None where the anchors are one to a cell, whatever the size.
    """
    if not layout.priors or min(layout.priors[0].steps) <= 0:
        return None
    try:
        graph = feature_graph(layout, _ANY_SHAPE)
    except InputShapeError:
        return None
    node = _node(graph, layout, 0)
    if node.stride is None:
        return None
    down, across = (stride / step for stride, step in zip(node.stride, layout.priors[0].steps))
    # a step close to zero makes a size too large for an integer
    return round(min(down, LARGEST_SIDE + 1)), round(min(across, LARGEST_SIDE + 1))


def measure(layout: Layout, data_shape: tuple[int, int], where: str) -> MeasuredDetector:
    """Read a detector's levels at an input size; raise RunError when it cannot be of it."""
    try:
        graph = feature_graph(layout, data_shape)
    except InputShapeError as error:
        raise RunError(f"{where} does not work on an input of {data_shape[0]}x{data_shape[1]} "
                       f"pixels: {error}; give another --data-shape") from error
    features = tuple(_node(graph, layout, level) for level in range(len(layout.features)))
    for level, node in enumerate(features):
        if len(node.shape) != 4 or min(node.shape) < 1:
            raise RunError(f"level {level} of {where} is no feature map at an input of "
                           f"{data_shape[0]}x{data_shape[1]} pixels; give another --data-shape")
    scores = graph.find(layout.net.name(layout.cls_pred[0]))
    assert scores is not None
    axis = 1 if layout.anchors is not None else 2
    if len(scores.shape) != 3 or scores.shape[axis] < 2:
        raise RunError(f"the class scores of {where} have shape {scores.shape}: they are no scores "
                       f"of anchors")
    taps = 1
    while taps < len(features) and not _is_extra(graph, features[taps - 1], features[taps]):
        taps += 1
    return MeasuredDetector(graph, features, taps, scores.shape[axis] - 1, data_shape)


def make_plan(layout: Layout, measured: MeasuredDetector, priors: Sequence[Prior], backbone: str,
              preprocessing: Preprocessing) -> Plan:
    """State a detector's numbers; `priors` are its anchors, a level each."""
    taps, features = measured.taps, measured.features
    extras = [_last_convolution(measured.graph, node) for node in features[taps:]]
    scaled = [bool(name) for name in layout.normalized]
    post_processing = layout.post_processing
    return Plan(
        backbone=backbone, head=OWN_HEAD, num_classes=measured.num_classes,
        data_shape=measured.data_shape,
        from_layers=(*(node.name for node in features[:taps]), *[""] * len(extras)),
        num_filters=(*(node.channels if scale else UNUSED
                       for node, scale in zip(features[:taps], scaled)),
                     *(node.channels for node in features[taps:])),
        strides=(*[UNUSED] * taps, *(conv.attrs.pair("stride", 1)[0] for conv in extras)),
        pads=(*[UNUSED] * taps, *(conv.attrs.pair("pad", 0)[0] for conv in extras)),
        sizes=tuple(prior.sizes for prior in priors),
        ratios=tuple(prior.ratios for prior in priors),
        normalizations=tuple(_INITIAL_SCALE if scale else UNUSED for scale in scaled),
        steps=_steps(priors, features),
        levels=tuple(Level(node.name if level < taps else "", node.channels, node.shape[2],
                           node.shape[3], prior.per_cell)
                     for level, (node, prior) in enumerate(zip(features, priors))),
        variances=post_processing.variances, nms_threshold=post_processing.nms_threshold,
        nms_topk=post_processing.nms_topk, force_suppress=post_processing.force_suppress,
        preprocessing=preprocessing)


def _node(graph: Graph, layout: Layout, level: int) -> ShapedNode:
    node = graph.find(layout.net.name(layout.features[level]))
    assert node is not None  # it is one of the graph's outputs
    return node


def _is_extra(graph: Graph, before: ShapedNode, here: ShapedNode) -> bool:
    """Tell whether a level is made of the one before it, and is no stage of the backbone.

    Made by a 1x1 convolution and a larger one behind it; a backbone's depthwise separable pair
    ends in the 1x1.
    """
    between = graph.upstream([here.name]) - graph.upstream([before.name])
    count = sum(graph.nodes[index].op in CONVOLUTIONS for index in between)
    return (before.index in graph.upstream([here.name]) and count <= _MOST_EXTRA_CONVOLUTIONS
            and _last_convolution(graph, here).kernel > 1)


def _last_convolution(graph: Graph, node: ShapedNode) -> ShapedNode:
    """Walk back from a level to the convolution that made it."""
    while node.op not in CONVOLUTIONS and graph.data_inputs(node):
        node = graph.data_inputs(node)[0]
    return node


def _steps(priors: Sequence[Prior], features: Sequence[ShapedNode]) -> tuple[Step, ...]:
    """Return the steps where a level has any; levels without one are a cell apart."""
    if all(min(prior.steps) <= 0 for prior in priors):
        return ()
    steps: list[Step] = []
    for prior, node in zip(priors, features):
        cell = (1 / node.shape[2], 1 / node.shape[3])
        down, across = prior.steps if min(prior.steps) > 0 else cell
        steps.append(down if down == across else (down, across))
    return tuple(steps)
