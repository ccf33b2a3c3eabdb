"""Losses that are divided by counts over the whole batch, of which each process has a part.

MXNet divides a loss by what counts in its own part. Its gradient, times this part's share of all
that counts, adds up over the processes to the gradient of one process with the whole batch. The
shares are known after the forward pass, and are inputs of the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import RunError
from ssdreg.graph.nodes import VARIABLE, Net, Node
from ssdreg.training.graphs.editing import Edit

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: What the names of the inputs begin with.
SHARE = "__share__"
_CLASSES, _LOSS = "SoftmaxOutput", "MakeLoss"
#: Normalisations with running moments.
_NORM = "BatchNorm"


@frozen(eq=False)
class Shared:
    """A training symbol whose losses are multiplied by shares.

    `inputs` are the names of the shares, (1,) each, by the number of the output that counts:
    that of the labels, where those from 0 on count, or of a loss, where values above 0 do.
    """

    symbol: mx.sym.Symbol
    inputs: Mapping[int, str]


def with_shares(symbol: mx.sym.Symbol, labels: int) -> Shared:
    """Return a symbol whose losses wait for shares; `labels` is the output that has the labels.

    Raises RunError for a loss that is not divided by a count of its own values: what it is divided
    by is then computed from one process's images alone.
    """
    net = Net.of(symbol)
    edit, inputs = Edit(net), dict[int, str]()
    for number, (index, _) in enumerate(net.heads):
        node = net.nodes[index]
        # a loss without a gradient is an output to look at
        if node.op not in (_CLASSES, _LOSS) or not node.attrs.number("grad_scale", 1.0):
            continue
        _check(node)
        name = SHARE + node.name
        share = edit.add(VARIABLE, name, (), __shape__="(1,)")
        inputs[labels if node.op == _CLASSES else number] = name
        source = node.inputs[0]
        still = edit.add("BlockGrad", f"{name}_value", [source])
        # 0, with a gradient: the values stay to the bit what they are
        zero = edit.add("elemwise_sub", f"{name}_zero", [source, still])
        part = edit.add("broadcast_mul", f"{name}_part", [zero, share])
        whole = edit.add("elemwise_add", f"{name}_whole", [still, part])
        edit.put(index, Node(node.op, node.name, node.attrs, (whole, *node.inputs[1:]),
                             node.versions, node.subgraphs))
    return Shared(edit.net().symbol(), inputs)


def live_moments(symbol: mx.sym.Symbol) -> tuple[str, ...]:
    """Return the running moments that a process writes from its own part of a batch."""
    net = Net.of(symbol)
    return tuple(dict.fromkeys(
        net.name(source) for index in net.find(_NORM)
        if not net.attrs(index).flag("use_global_stats")
        for source in net.nodes[index].sources[3:]))


def _check(node: Node) -> None:
    if node.attrs.text("normalization", "null") != "valid":
        raise RunError(f"the loss {node.name} is not divided by the number of its values that "
                       f"count, and MXNet cannot sum up what else it is divided by over several "
                       f"processes: choose --engine torch, another --loss, or one process")

