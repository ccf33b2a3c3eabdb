"""The symbol of a zoo's network, for use as a backbone."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from ssdreg_gluon.zoo import GLUON

if TYPE_CHECKING:
    from ssdreg.mx import mx


def symbol(zoo: str, network: str) -> mx.sym.Symbol:
    """Build the classifier ``data`` (B, 3, H, W) to scores (B, 1000), named as Gluon names it.

    Two things are changed, neither of which has weights: the average pooling in front of the
    classifier takes in the whole map where Gluon fixes its size for one input size, and
    operators that share a name get names of their own.
    """
    from ssdreg.mx import mx
    return mx.sym.load_json(_symbol_json(zoo, network))


@cache
def _symbol_json(zoo: str, network: str) -> str:
    """Return the symbol as JSON, which is read much faster than the blocks are composed."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        scores = block(zoo, network)(mx.sym.Variable("data"))
    # some return auxiliary scores behind the classifier's
    graph = json.loads((scores[0] if isinstance(scores, (list, tuple)) else scores).tojson())
    _pool_globally(graph["nodes"])
    _rename_duplicates(graph["nodes"])
    return json.dumps(graph)


def block(zoo: str, network: str) -> mx.gluon.HybridBlock:
    """Build the network's own Gluon block, without weights, under fresh names."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        return zoo_module(zoo).get_model(network, pretrained=False)


def zoo_module(zoo: str) -> Any:
    """Return the module of a zoo that has ``get_model``."""
    from ssdreg.audit.gluoncv_presets import import_gluoncv
    from ssdreg.mx import mx
    return mx.gluon.model_zoo.vision if zoo == GLUON.name else import_gluoncv().model_zoo


def _pool_globally(nodes: list[dict[str, Any]]) -> None:
    """Make the last average pooling global if it is the classifier's: no 3x3 convolution follows.

    Its size is right for one size of input; on a larger one it leaves several cells, on a
    smaller one it does not fit.
    """
    for node in reversed(nodes):
        attrs = node.get("attrs", {})
        if node["op"] == "Convolution" and attrs["kernel"] != "(1, 1)":
            return
        if node["op"] == "Pooling":
            if attrs["pool_type"] == "avg":
                attrs.update(global_pool="True", pad="(0, 0)", stride="(1, 1)")
            return


def _rename_duplicates(nodes: list[dict[str, Any]]) -> None:
    """Number operators of the same name, which a block that is used twice has.

    The first keeps its name.
    """
    counts = Counter(node["name"] for node in nodes)
    calls: Counter[str] = Counter()
    for node in nodes:
        name = node["name"]
        calls[name] += 1
        if calls[name] > 1:
            node["name"] = f"{name}_call{calls[name]}"
            assert node["name"] not in counts
