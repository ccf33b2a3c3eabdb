"""Products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.translation import Compute, translates, unsupported


@translates("batch_dot", "_linalg_gemm2")
def batch_product(node: Node) -> Compute:
    """Return a matrix product for each pair of a batch."""
    attrs = node.attrs
    if attrs.integer("axis", -2) != -2:
        raise unsupported(node, "its matrices do not lie in the last two axes")
    left, right = attrs.flag("transpose_a"), attrs.flag("transpose_b")
    alpha = attrs.number("alpha", 1.0)

    def compute(first: Tensor, second: Tensor) -> Tensor:
        product = torch.matmul(first.mT if left else first, second.mT if right else second)
        return product if alpha == 1 else product * alpha
    return compute


@translates("dot")
def product(node: Node) -> Compute:
    """Return a product over the last axis of the first value and the first axis of the second.

    A transposition reverses all axes of a value.
    """
    left, right = node.attrs.flag("transpose_a"), node.attrs.flag("transpose_b")

    def compute(first: Tensor, second: Tensor) -> Tensor:
        first, second = (_reversed(first) if left else first,
                         _reversed(second) if right else second)
        return torch.tensordot(first, second, dims=1)
    return compute


def _reversed(data: Tensor) -> Tensor:
    return data.permute(*reversed(range(data.ndim)))
