"""A training symbol rewritten for MXNet's kernels: the same parameters, the same losses.

MXNet 1.9.1 computes by oneDNN, whose fast kernels want their channels in blocks of 16. What does
not fit falls to kernels many times as slow. Each module here is one rule that makes it fit; the
numbers change by rounding only, and what they bring is written in docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssdreg_runtime.system.processor import has_wide_vectors

from ssdreg.graph.nodes import Net
from ssdreg.training.graphs.anchors import without_features
from ssdreg.training.graphs.bfloat16 import in_bfloat16
from ssdreg.training.graphs.clips import with_limits, with_relus
from ssdreg.training.graphs.depthwise import in_columns
from ssdreg.training.graphs.norms import apart, with_activations
from ssdreg.training.graphs.predictors import joined
from ssdreg.training.graphs.recomputing import with_recomputation
from ssdreg.training.graphs.shapes import Shaped
from ssdreg.training.graphs.stems import without_cuts

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The precision that differs from a symbol's own.
BFLOAT16 = "bfloat16"


def rewritten(symbol: mx.sym.Symbol, shapes: Mapping[str, tuple[int, ...]], precision: str,
              recompute: bool = False) -> mx.sym.Symbol:
    """Return what a step computes, for inputs of these `shapes`, from the same parameters.

    Its outputs stand in the same order, and are float32 in every precision. With `recompute` less
    is kept for the backward pass, and computed again.
    """
    net = Net.of(symbol)
    rules = [without_features, joined, without_cuts, in_columns]
    if precision == BFLOAT16:
        rules += [with_relus, in_bfloat16]
    elif has_wide_vectors():
        rules += [with_limits, with_activations, apart]
    else:
        rules += [with_limits]
    if recompute:
        rules.append(with_recomputation)
    for rule in rules:
        net = rule(Shaped.of(net, shapes))
    return net.symbol()
