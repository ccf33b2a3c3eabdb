"""A detector's two symbols as parts: what predicts, what detects, and what the loss is made of.

The symbols to train and to deploy compute the same predictions. Where the two part ways is found
on the graphs: behind the class scores, the offsets and the anchors, whatever nodes are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import ExportError
from ssdreg.graph.nodes import Entry, Net, Node
from ssdreg.graph.operators import DETECTION, PRIOR

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The name of the input that training has besides the images.
LABEL = "label"
#: What a node computes: its operator and settings, and what it reads, or a variable's name.
Identity = int
#: The operators whose gradient is a loss's.
LOSSES = ("SoftmaxOutput", "MakeLoss", "make_loss")


@frozen(eq=False)
class Parts:
    """Both symbols, cut.

    - `deploy`, `train`: the graphs
    - `scores`, `offsets`, `anchors`: the predictions in `deploy`; `levels` what anchors are placed
      on, the finest first
    - `in_training`: where in `train` the predictions are, in the same order
    - `losses`: the outputs of `train` that have a gradient
    """

    deploy: Net
    train: Net
    scores: Entry
    offsets: Entry
    anchors: Entry
    levels: tuple[Entry, ...]
    in_training: tuple[Entry, Entry, Entry]
    losses: tuple[Entry, ...]

    @property
    def predictions(self) -> tuple[Entry, Entry, Entry]:
        """The predictions in `deploy`: scores, offsets and anchors."""
        return self.scores, self.offsets, self.anchors

    @property
    def detection(self) -> Node:
        """The node that makes detections."""
        return self.deploy.last


def split(deploy: Net, training_symbol: mx.sym.Symbol) -> Parts:
    """Find a detector's parts.

    Raises ExportError where the two symbols are not of one network, or have no loss.
    """
    train = Net.of(training_symbol)
    detection = deploy.last
    if detection.op != DETECTION:
        raise ExportError(f"{detection.op} at node {detection.name!r} cannot be written: a "
                          f"detector's last operator is {DETECTION}")
    losses = _losses(train)
    ours, theirs = _identities(deploy, train)
    places = {identity: index for index, identity in reversed(list(enumerate(theirs)))}
    offsets, anchors = detection.inputs[1:]
    for scores in _candidates(deploy, detection):
        entries = scores, offsets, anchors
        found = [(places.get(ours[index], -1), output) for index, output in entries]
        in_training = found[0], found[1], found[2]
        if all(index >= 0 for index, _ in found) \
                and _follow(deploy, detection.inputs, entries) and _follow(train, losses, found):
            levels = tuple(deploy.inputs(index)[0] for index in
                           sorted(deploy.upstream(anchors[0])) if deploy.op(index) == PRIOR)
            return Parts(deploy, train, scores, offsets, anchors, levels, in_training, losses)
    raise ExportError(f"the symbols to train and to deploy are not of one network: what "
                      f"{detection.name!r} reads is not what the losses are taken from")


def _losses(train: Net) -> tuple[Entry, ...]:
    """Return the outputs that something is learnt from."""
    losses = tuple(
        (index, output) for index, output in train.heads
        if train.op(index) in LOSSES
        # scaled by 0, an output is shown and not learnt from
        and train.attrs(index).number("grad_scale", 1.0))
    if not losses or not any(node.is_variable and node.name == LABEL for node in train.nodes):
        raise ExportError("the symbol to train has no loss that is taken from a label: give a run "
                          "that was trained, or a checkpoint")
    return losses


def _identities(*nets: Net) -> list[list[Identity]]:
    """Number what nodes compute: equal numbers are equal values, whatever the nodes' names."""
    numbers: dict[tuple[object, ...], Identity] = {}

    def numbered(net: Net) -> list[Identity]:
        known: list[Identity] = []
        for node in net.nodes:
            read = tuple((known[index], output) for index, output in node.inputs)
            key = (node.op, node.name if node.is_variable else settings(node), read)
            known.append(numbers.setdefault(key, len(numbers)))
        return known
    return [numbered(net) for net in nets]


def settings(node: Node) -> frozenset[tuple[str, str]]:
    """Return what a node's result depends on, without hints for optimizers."""
    return frozenset((name, text) for name, text in node.attrs.texts.items()
                     if not name.startswith("__"))


def _candidates(net: Net, detection: Node) -> list[Entry]:
    """Return what class scores may be: what detections read, and what that is computed from."""
    entries, entry = [], detection.inputs[0]
    while True:
        entries.append(entry)
        if not net.inputs(entry[0]):
            # a softmax comes first: scores are what stands in front of it
            return entries[1:] + entries[:1]
        entry = net.inputs(entry[0])[0]


def _follow(net: Net, entries: Sequence[Entry], given: Iterable[Entry]) -> bool:
    """Tell whether values follow from given ones and the label, without a parameter."""
    return not any(net.nodes[index].is_variable and net.name(index) != LABEL
                   for index in computing(net, entries, given))


def computing(net: Net, entries: Iterable[Entry], given: Iterable[Entry]) -> list[int]:
    """Return, in order, the nodes that compute values from given ones; variables are nodes too."""
    there, needed = frozenset(given), set[int]()
    waiting = [entry for entry in entries if entry not in there]
    while waiting:
        index, _ = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting.extend(entry for entry in net.inputs(index) if entry not in there)
    return sorted(needed)
