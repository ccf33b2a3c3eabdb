"""A training symbol computed in bfloat16: the network where kernels are fast, all else float32.

Parameters stay float32 and are rounded where they are used, so their gradients arrive in float32,
and neither the optimizer nor a checkpoint knows of it.
"""

from __future__ import annotations

from attrs import evolve

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import VARIABLE, Entry, Net, Node
from ssdreg.graph.operators import BATCH_NORM
from ssdreg.training.graphs.norms import JOINED
from ssdreg.training.graphs.shapes import Shaped

FLOAT32, BFLOAT16 = "float32", "bfloat16"
_NORMS = {BATCH_NORM, JOINED}
#: Computed in the precision of what they read.
_FOLLOWING = {*_NORMS, "Activation", "Pooling", "elemwise_add", "Concat"}


def in_bfloat16(shaped: Shaped) -> Net:
    """Return the net with conversions around what is computed in bfloat16.

    That is every convolution whose channels are whole blocks, on both sides, and what follows one
    and works on blocks too. The others have kernels that are slower than those of float32.
    """
    net = shaped.net
    low: set[int] = set()
    for index in range(len(net.nodes)):
        if _is_low(shaped, index, low):
            low.add(index)
    return _converted(net, low)


def _is_low(shaped: Shaped, index: int, low: set[int]) -> bool:
    node = shaped.net.nodes[index]
    if shaped.convolves_blocks(index):
        return True
    if node.op not in _FOLLOWING or not shaped.is_in_blocks(index):
        return False
    if node.op == "Activation" and node.attrs.text("act_type") != "relu":
        return False
    maps = [source for source in node.sources if shaped.net.op(source) != VARIABLE]
    return bool(maps) and all(source in low for source in maps)


def _converted(net: Net, low: set[int]) -> Net:
    """Add a conversion wherever one side of the border reads the other, each output's once."""
    nodes = [_typed(node) for node in net.nodes]
    conversions: dict[tuple[Entry, str], Entry] = {}

    def convert(entry: Entry, precision: str) -> Entry:
        # the moments of a normalization stay float32
        there = BFLOAT16 if entry[0] in low and entry[1] == 0 else FLOAT32
        if there == precision:
            return entry
        if (entry, precision) not in conversions:
            nodes.append(Node("amp_cast", f"{net.name(entry[0])}_{precision}",
                              Attributes({"dtype": precision}), (entry,)))
            conversions[entry, precision] = len(nodes) - 1, 0
        return conversions[entry, precision]

    for index, node in enumerate(net.nodes):
        precision = BFLOAT16 if index in low else FLOAT32
        nodes[index] = evolve(nodes[index], inputs=tuple(
            # scales, offsets and running moments of a normalization stay float32
            entry if place and node.op in _NORMS else convert(entry, precision)
            for place, entry in enumerate(node.inputs)))
    return Net(nodes, tuple(convert(head, FLOAT32) for head in net.heads))


def _typed(node: Node) -> Node:
    # MXNet does not infer a variable's type through a conversion; 0 is float32
    if node.is_variable and "__dtype__" not in node.attrs.texts:
        return node.with_attrs({"__dtype__": "0"})
    return node
