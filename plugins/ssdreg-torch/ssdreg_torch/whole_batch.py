"""What is computed over the whole batch where each of several processes has a part of it.

The losses of the processes then add up to that of one process with the whole batch: what they are
divided by is counted over all, and so is what a symbol sums over the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssdreg.graph.nodes import Entry, Net, Node
from ssdreg_torch.across import PROCESSES, SHARERS, processes
from ssdreg_torch.operators.normalizing import BATCH_NORMS, MOMENTS
from ssdreg_torch.translation import unsupported

LOSSES = ("SoftmaxOutput", "Softmax", "MakeLoss", "make_loss")
#: Anchors are placed by the size of a map, whatever is on it.
_SEES_NO_IMAGE = ("_contrib_MultiBoxPrior", "MultiBoxPrior")


def over_processes(net: Net, shapes: Mapping[str, tuple[int, ...]], count: int,
                   sync_norm: bool) -> Net:
    """Return a training graph that is computed over the batch of so many processes.

    `shapes` are those of the inputs in one process; with `sync_norm` batch normalisations take
    their moments over all. Raises TranslationError where an operator joins the images of a batch
    otherwise than by a sum or a mean.
    """
    batched = _batched(net, shapes)
    changed: dict[int, Node] = {}
    for index, node in enumerate(net.nodes):
        marks = {}
        joins = (not node.is_variable and node.op not in _SEES_NO_IMAGE
                 and any(entry in batched for entry in node.inputs)
                 and not any(entry[0] == index for entry in batched))
        if joins and node.op not in ("sum", "mean"):
            raise unsupported(node, "it joins the images of a batch, of which each process has "
                                    "others: train in one process")
        if joins or node.op in LOSSES or (
                sync_norm and node.op in BATCH_NORMS and not node.attrs.flag("use_global_stats")):
            marks[PROCESSES] = str(count)
        if node.op in LOSSES and not any(entry in batched for entry in node.inputs):
            marks[SHARERS] = str(count)
        if marks:
            changed[index] = node.with_attrs(marks)
    return net.replaced(changed)


def live_moments(net: Net) -> tuple[str, ...]:
    """Return the running moments that a process writes from its own part of a batch."""
    return tuple(dict.fromkeys(
        net.name(net.nodes[index].sources[place]) for index in net.find(*BATCH_NORMS)
        for place in MOMENTS
        if not net.attrs(index).flag("use_global_stats") and processes(net.attrs(index)) == 1))


def _batched(net: Net, shapes: Mapping[str, tuple[int, ...]]) -> frozenset[Entry]:
    """Return the outputs that have images along an axis: their shapes change with the batch's."""
    entries = list(dict.fromkeys([entry for node in net.nodes for entry in node.inputs]
                                 + list(net.heads)))
    computed = [entry for entry in entries if not net.nodes[entry[0]].is_variable]
    # its shapes alone are asked for
    symbol: Any = net.cut(*computed)
    inputs = {name: shape for name, shape in shapes.items() if name in symbol.list_arguments()}
    _, once, _ = symbol.infer_shape(**inputs)
    _, twice, _ = symbol.infer_shape(**{name: (2 * shape[0], *shape[1:])
                                        for name, shape in inputs.items()})
    return frozenset({entry for entry, before, after in zip(computed, once, twice)
                      if before != after}
                     | {entry for entry in entries if net.name(entry[0]) in inputs})
