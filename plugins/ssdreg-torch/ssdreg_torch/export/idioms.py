"""What symbols spell out in many operators, as one function each: SSD's losses.

A pattern is the symbol that ssdreg itself makes for a loss. Where a training symbol holds just
that, by operators, settings and wiring, one node takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ssdreg import ops
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import Entry, Net, Node
from ssdreg.graph.operators import PRIOR, TARGET
from ssdreg.ops.loss import GIOU_WEIGHT
from ssdreg_torch.export.code import Code, Site, call, number, writes
from ssdreg_torch.export.parts import settings

if TYPE_CHECKING:
    from ssdreg.mx import mx

_VARIANCES = (0.1, 0.1, 0.2, 0.2)
#: The weight of objects and the exponent of `ssdreg.ops.focal_loss`.
_ALPHA, _GAMMA = 0.25, 2.0


@frozen(eq=False)
class Idiom:
    """One function for a pattern: `op` is what writes it, `reads` are the pattern's inputs.

    `places` are the entries of the pattern that stand for an input; variables do by their names.
    """

    op: str
    reads: tuple[str, ...]
    pattern: Net
    places: Mapping[Entry, str]
    attrs: Mapping[str, str]


def shortened(net: Net) -> Net:
    """Return a training symbol's graph with a node for each idiom in it."""
    for idiom in _idioms(net):
        head = idiom.pattern.heads[0]
        for index in net.find(idiom.pattern.op(head[0])):
            bound: dict[str, Entry] = {}
            if _matches(idiom, head, net, (index, head[1]), bound):
                node = Node(idiom.op, net.name(index), Attributes(dict(idiom.attrs)),
                            tuple(bound[name] for name in idiom.reads))
                net = net.replaced({index: node})
    return net


def with_joined_anchors(net: Net) -> Net:
    """Return a graph whose anchors are joined as boxes, and not as numbers."""
    joined = {}
    for index in net.find("Reshape"):
        concat = net.nodes[net.inputs(index)[0][0]]
        levels = [net.nodes[entry[0]] for entry in concat.inputs]
        if (concat.op == "Concat" and concat.attrs.integer("dim", 1) == 1
                and net.attrs(index).sequence("shape") == (0, -1, 4)
                and all(level.op == "Flatten" and net.op(level.inputs[0][0]) == PRIOR
                        for level in levels)):
            joined[index] = evolve(concat, inputs=tuple(level.inputs[0] for level in levels))
    return net.replaced(joined)


def _matches(idiom: Idiom, expected: Entry, net: Net, entry: Entry, bound: dict[str, Entry]
             ) -> bool:
    """Tell whether an output is a pattern's, and note what stands for the pattern's inputs."""
    pattern = idiom.pattern.nodes[expected[0]]
    if expected in idiom.places or pattern.is_variable:
        return bound.setdefault(idiom.places.get(expected, pattern.name), entry) == entry
    node = net.nodes[entry[0]]
    return (node.op == pattern.op and entry[1] == expected[1]
            and settings(node) == settings(pattern) and len(node.inputs) == len(pattern.inputs)
            and all(_matches(idiom, theirs, net, ours, bound)
                    for theirs, ours in zip(pattern.inputs, node.inputs)))


def _idioms(net: Net) -> list[Idiom]:
    """Return the idioms, with the ratio of negatives that a graph has."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        names = ("anchors", "labels", "scores", "offsets", "targets", "mask", "classes", "prob",
                 "losses")
        var = {name: mx.sym.Variable(name) for name in names}
        idioms = [
            _idiom("smooth_l1_loss", ("offsets", "targets", "mask"), ops.smooth_l1_loss(
                var["offsets"], ops.Targets(var["targets"], var["mask"], var["classes"]))),
            _idiom("giou_loss", ("offsets", "targets", "mask"), ops.giou_loss(
                var["offsets"], ops.Targets(var["targets"], var["mask"], var["classes"]),
                variances=_VARIANCES)),
            _idiom("focal_loss", ("scores", "classes"), ops.focal_loss(
                var["scores"], var["classes"], alpha=_ALPHA, gamma=_GAMMA)),
            _idiom("sum_of_losses", ("losses",), ops.learning(
                var["prob"], var["losses"], name="cls_prob"))]
        for index in net.find(TARGET):
            ratio = net.attrs(index).number("negative_mining_ratio", -1.0)
            targets = ops.targets(var["anchors"], var["labels"], var["scores"],
                                  variances=_VARIANCES, negative_ratio=ratio)
            reads = ("classes", "labels", *(("scores",) if ratio >= 0 else ()))
            idioms.append(_idiom("with_empty_images", reads, targets.cls_target,
                                 {"negative_ratio": str(ratio)}))
    return idioms


def _idiom(op: str, reads: tuple[str, ...], symbol: mx.sym.Symbol,
           attrs: Mapping[str, str] | None = None) -> Idiom:
    net = Net.of(symbol)
    places = {(index, 2): "classes" for index in net.find(TARGET)}
    return Idiom(op, reads, net, places, attrs or {})


@writes("smooth_l1_loss")
def smooth_l1_loss(site: Site) -> Code:
    """Write the loss of offsets."""
    return call(site.helper("smooth_l1_loss"), *site.inputs)


@writes("giou_loss")
def giou_loss(site: Site) -> Code:
    """Write the loss of boxes by their overlap."""
    loss = call(site.helper("giou_loss"), *site.inputs)
    return Code(f"{number(GIOU_WEIGHT)} * {loss.text}")


@writes("focal_loss")
def focal_loss(site: Site) -> Code:
    """Write the focal loss in its softmax form."""
    return call(site.helper("focal_loss"), *site.inputs, alpha=_ALPHA, gamma=_GAMMA)


@writes("sum_of_losses")
def sum_of_losses(site: Site) -> Code:
    """Write the sum of the losses of anchors."""
    return Code(f"{site.inputs[0].atom}.sum()")


@writes("with_empty_images")
def with_empty_images(site: Site) -> Code:
    """Write targets of classes in which images without objects are negatives."""
    ratio = site.node.attrs.number("negative_ratio")
    mined = (site.inputs[2], number(ratio)) if ratio >= 0 else ()
    return call(site.helper("with_empty_images"), site.inputs[0], site.inputs[1], *mined)
