"""The symbol of a zoo's network, for use as a backbone."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ssdreg.graph.nodes import Net
from ssdreg_gluon.zoo import GLUON

if TYPE_CHECKING:
    from ssdreg.mx import mx


def symbol(zoo: str, network: str) -> mx.sym.Symbol:
    """Build the classifier ``data`` (B, 3, H, W) to scores (B, 1000), named as Gluon names it.

    Two things are changed, neither of which has weights: the average pooling in front of the
    classifier takes in the whole map where Gluon fixes its size for one input size, and
    operators that share a name get names of their own.
    """
    return _net(zoo, network).symbol()


@cache
def _net(zoo: str, network: str) -> Net:
    """Return the nodes of the symbol, of which it is made much faster than of the blocks."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        scores = block(zoo, network)(mx.sym.Variable("data"))
    # some return auxiliary scores behind the classifier's
    net = Net.of(scores[0] if isinstance(scores, (list, tuple)) else scores)
    return _named_apart(_pooled_globally(net))


def block(zoo: str, network: str) -> mx.gluon.HybridBlock:
    """Build the network's own Gluon block, without weights, under fresh names."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        return zoo_module(zoo).get_model(network, pretrained=False)


def zoo_module(zoo: str) -> Any:
    """Return the module of a zoo that has ``get_model``."""
    from ssdreg.auditing.gluoncv_presets import import_gluoncv
    from ssdreg.mx import mx
    return mx.gluon.model_zoo.vision if zoo == GLUON.name else import_gluoncv().model_zoo


def _pooled_globally(net: Net) -> Net:
    """Make the last average pooling a global one, if it is the classifier's: no 3x3 follows.

    Its size is right for one size of input; on a larger one it leaves several cells, on a
    smaller one it does not fit.
    """
    for index in reversed(net.find("Convolution", "Pooling")):
        node = net.nodes[index]
        if node.op == "Pooling" and node.attrs.text("pool_type") == "avg":
            return net.replaced({index: node.with_attrs(
                {"global_pool": "True", "pad": "(0, 0)", "stride": "(1, 1)"})})
        if node.op == "Pooling" or node.kernel > 1:
            break
    return net


def _named_apart(net: Net) -> Net:
    """Number the operators that share a name: a block used twice gives both calls the same one.

    The first keeps its name.
    """
    seen: Counter[str] = Counter()
    changed = {}
    for index, node in enumerate(net.nodes):
        seen[node.name] += 1
        if seen[node.name] > 1:
            changed[index] = evolve(node, name=f"{node.name}_call{seen[node.name]}")
    assert not {node.name for node in changed.values()} & set(seen)
    return net.replaced(changed)
