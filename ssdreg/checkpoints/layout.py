"""The places of predictions, levels and anchors in a detector's symbol.

Read off the graph alone, for the three forms that detectors of MXNet come in: with a
MultiBoxDetection (deploy symbols, and training symbols that show detections), with a
MultiBoxTarget alone (older training symbols), and as GluonCV exports them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ssdreg import ops
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import RunError
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import VARIABLE, Entry, Net
from ssdreg.graph.operators import DETECTION, PRIOR, PRODUCTS, SOFTMAXES, TARGET
from ssdreg.registry.head import Predictions

if TYPE_CHECKING:
    from ssdreg.mx import mx

_DECODERS = {"_contrib_box_decode", "SliceChannel"}
#: Operators that move values to other places and leave them as they are.
_MOVES = {"Reshape", "reshape", "Flatten", "flatten", "transpose", "Concat", "concat", "identity",
          "_copy", "BlockGrad", "expand_dims", "squeeze", "slice_axis"}
_MOST_MOVES = 10_000


@frozen
class Prior:
    """The anchors of one level as a MultiBoxPrior makes them; -1 in `steps` is one cell.

    `chosen` are the places of those that a cell has, where it has not all, or in another order.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    steps: tuple[float, float] = (-1.0, -1.0)
    offsets: tuple[float, float] = (0.5, 0.5)
    clip: bool = False
    chosen: tuple[int, ...] = ()

    @property
    def per_cell(self) -> int:
        """How many anchors a cell has."""
        return len(self.chosen) or len(self.sizes) + len(self.ratios) - 1


@frozen(kw_only=True, eq=False)
class Layout:
    """A detector's parts, as outputs and nodes of its `net`.

    `features` are the nodes that feed the predictors, the finest level first, before L2
    normalisation; `normalized` holds for each the variable it is scaled by, "" for none. A
    GluonCV export has its anchors in parameters, named by `constants`, and `anchors` and `priors`
    are None and empty; its scores and offsets then are by anchor, (B, N, C + 1) and (B, N, 4).
    """

    net: Net
    cls_pred: Entry
    loc_pred: Entry
    anchors: Entry | None
    features: tuple[int, ...]
    normalized: tuple[str, ...]
    priors: tuple[Prior, ...] = ()
    constants: tuple[str, ...] = ()
    post_processing: PostProcessing


def read_layout(net: Net, where: str) -> Layout:
    """Find a detector's parts; raise RunError when the symbol is none, or not of SSD's form."""
    try:
        return _read(net, where)
    except (ValueError, IndexError) as error:
        if isinstance(error, RunError):
            raise
        raise _unlike(where, f"a node has inputs or settings that its operator cannot have "
                             f"({error})") from error


def _read(net: Net, where: str) -> Layout:
    detections, targets = net.find(DETECTION), net.find(TARGET)
    if len(detections) == 1:
        return _from_detection(net, detections[0], where)
    if len(detections) > 1:
        raise _unlike(where, f"it has {len(detections)} MultiBoxDetection nodes")
    if len(targets) == 1:
        return _from_target(net, targets[0], where)
    if net.find("_contrib_box_nms"):
        return _from_gluoncv(net, where)
    raise _unlike(where, "it has neither MultiBoxDetection nor MultiBoxTarget")


def _unlike(where: str, why: str) -> RunError:
    return RunError(f"{where} is no SSD detector that can be read: {why}")


def _from_detection(net: Net, node: int, where: str) -> Layout:
    scores, loc_pred, anchors = net.inputs(node)
    rules = PostProcessing.read(net.attrs(node))
    if rules.background_id != 0:
        raise _unlike(where, f"{net.name(node)!r} has its background at class "
                             f"{rules.background_id}, and not at 0")
    return _assemble(net, _before_softmax(net, scores, where), loc_pred, anchors, rules, where)


def _before_softmax(net: Net, entry: Entry, where: str) -> Entry:
    """Return the class scores that a softmax turns into probabilities."""
    node = next((node for node in net.main_line(entry[0])
                 if net.op(node) not in {"BlockGrad", "identity", "_copy"}), entry[0])
    if net.op(node) not in SOFTMAXES:
        raise _unlike(where, f"its class scores come from {net.name(node)!r} ({net.op(node)}) and "
                             f"not from a softmax")
    return net.inputs(node)[0]


def _from_target(net: Net, node: int, where: str) -> Layout:
    """Read a training symbol without detections: offsets are what targets are taken from."""
    anchors, _, cls_pred = net.inputs(node)
    differences = [difference for difference in net.find("elemwise_sub", "_minus", "_Minus", "_sub")
                   if (node, 0) in net.inputs(difference)]
    offsets = [entry for difference in differences for entry in net.inputs(difference)
               if entry[0] != node]
    if len(offsets) != 1:
        raise _unlike(where, f"nothing is compared with the targets of {net.name(node)!r}")
    # MultiBoxTarget has the variances, and none of the other settings
    rules = evolve(PostProcessing.read(net.attrs(node)), nms_topk=400)
    return _assemble(net, cls_pred, offsets[0], anchors, rules, where)


def _assemble(net: Net, cls_pred: Entry, loc_pred: Entry, anchors: Entry,
              post_processing: PostProcessing, where: str) -> Layout:
    """Pair the predictors and anchors of every level."""
    features, normalized = _features(net, cls_pred[0], loc_pred[0], where)
    # each once: a level that leaves out some of its anchors joins the others again
    nodes = list(dict.fromkeys(_sources(net, anchors[0], PRIOR)))
    if len(nodes) != len(features):
        raise _unlike(where, f"it predicts on {len(features)} levels but has anchors for "
                             f"{len(nodes)}")
    return Layout(net=net, cls_pred=cls_pred, loc_pred=loc_pred, anchors=anchors,
                  features=features, normalized=normalized,
                  priors=tuple(_read_prior(net.attrs(node)) for node in nodes),
                  post_processing=post_processing)


def _read_prior(attrs: Attributes) -> Prior:
    default = Prior((1.0,), (1.0,))
    steps = attrs.numbers("steps", default.steps)
    offsets = attrs.numbers("offsets", default.offsets)
    return Prior(attrs.numbers("sizes", default.sizes), attrs.numbers("ratios", default.ratios),
                 (steps[0], steps[1]), (offsets[0], offsets[1]), attrs.flag("clip"))


def _features(net: Net, classes: int, boxes: int,
              where: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return what the predictors of classes and of boxes read, which must be the same."""
    read = [[_unscaled(net, net.inputs(conv)[0][0])
             for conv in _sources(net, node, "Convolution")] for node in (classes, boxes)]
    if not read[0] or read[0] != read[1]:
        raise _unlike(where, "classes and boxes are not predicted by convolutions on the same "
                             "levels")
    return tuple(node for node, _ in read[0]), tuple(scale for _, scale in read[0])


def _unscaled(net: Net, node: int) -> tuple[int, str]:
    """Return the feature before its L2 normalisation, and the name of its learnt scale."""
    if net.op(node) in PRODUCTS:
        inputs = [entry[0] for entry in net.inputs(node)]
        for unit, scale in (inputs, inputs[::-1]):
            if net.op(unit) == "L2Normalization" and net.op(scale) == VARIABLE:
                return net.inputs(unit)[0][0], net.name(scale)
    return node, ""


def _sources(net: Net, node: int, op: str) -> Iterator[int]:
    """Yield, in order, the nodes of an operator whose values a node only moves about.

    Raises ValueError after too many steps: the number of paths doubles where two meet in a node,
    one node after the other.
    """
    waiting = [node]
    for _ in range(_MOST_MOVES):
        if not waiting:
            return
        here = waiting.pop()
        if net.op(here) == op:
            yield here
        elif net.op(here) in _MOVES:
            waiting.extend(before for before, _ in reversed(net.inputs(here)))
    raise ValueError(f"{net.name(node)!r} moves values about in more than {_MOST_MOVES:,} steps")


def _from_gluoncv(net: Net, where: str) -> Layout:
    """Read what GluonCV's SSD exports: scores and offsets by anchor, anchors as constants."""
    softmaxes, decoders = net.find("softmax"), net.find(*_DECODERS)
    read = dict.fromkeys(entry for node in decoders for entry in net.inputs(node))
    offsets = [entry for entry in read if any(_sources(net, entry[0], "Convolution"))]
    anchors = [cut for entry in read for cut in _sources(net, entry[0], "slice_like")]
    if len(softmaxes) != 1 or len(offsets) != 1:
        raise _unlike(where, "it has box_nms, but not what GluonCV's SSD has in front of it")
    scores = net.inputs(softmaxes[0])[0]
    features, normalized = _features(net, scores[0], offsets[0][0], where)
    if len(anchors) != len(features):
        raise _unlike(where, f"it predicts on {len(features)} levels but has anchors for "
                             f"{len(anchors)}")
    nms = net.attrs(net.find("_contrib_box_nms")[0])
    return Layout(net=net, cls_pred=scores, loc_pred=offsets[0], anchors=None, features=features,
                  normalized=normalized,
                  constants=tuple(net.name(net.inputs(node)[0][0]) for node in anchors),
                  post_processing=PostProcessing(
                      nms_threshold=nms.number("overlap_thresh", 0.5),
                      nms_topk=nms.integer("topk", -1), variances=_stds(net, decoders)))


def _stds(net: Net, decoders: Sequence[int]) -> tuple[float, float, float, float]:
    """Return the factors of the offsets; GluonCV's default where decoding is spelt out."""
    attrs = [net.attrs(node) for node in decoders if net.op(node) == "_contrib_box_decode"]
    if not attrs:
        return PostProcessing().variances
    first, second, third, fourth = (attrs[0].number(f"std{index}", 1.0) for index in range(4))
    return first, second, third, fourth


def predictions(layout: Layout, priors: Sequence[Prior]) -> Predictions:
    """Cut a detector's predictions out of its symbol, in SSD's form.

    Anchors that are constants there are made anew from `priors`.
    """
    from ssdreg.mx import mx
    if layout.anchors is not None:
        pieces = layout.net.cut(layout.cls_pred, layout.loc_pred, layout.anchors)
        return Predictions(pieces[0], pieces[1], pieces[2])
    pieces = layout.net.cut(layout.cls_pred, layout.loc_pred,
                            *((node, 0) for node in layout.features))
    anchors = make_anchors([pieces[index + 2] for index in range(len(priors))], priors)
    return Predictions(
        mx.sym.transpose(pieces[0], axes=(0, 2, 1), name="multibox_cls_pred"),
        mx.sym.Flatten(pieces[1], name="multibox_loc_pred"),
        anchors)


def make_anchors(features: Sequence[mx.sym.Symbol], priors: Sequence[Prior]) -> mx.sym.Symbol:
    """Make the anchors (1, N, 4) of feature levels."""
    from ssdreg.mx import mx
    levels = []
    for level, (feature, prior) in enumerate(zip(features, priors)):
        name = f"level{level}_anchors"
        x = ops.prior(feature, prior.sizes, prior.ratios, prior.steps, name=name)
        if prior.chosen:
            every = len(prior.sizes) + len(prior.ratios) - 1
            x = mx.sym.Reshape(x, shape=(0, -1, every, 4), name=f"{name}_cells")
            x = mx.sym.Concat(*(mx.sym.slice_axis(x, axis=2, begin=place, end=place + 1,
                                                  name=f"{name}_{place}")
                                for place in prior.chosen), dim=2, name=f"{name}_chosen")
        levels.append(mx.sym.Flatten(x, name=f"{name}_flatten"))
    boxes = mx.sym.Concat(*levels, dim=1, name="multibox_anchors_concat")
    return mx.sym.Reshape(boxes, shape=(0, -1, 4), name="multibox_anchors")
