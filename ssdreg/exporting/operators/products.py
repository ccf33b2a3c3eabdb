"""Products of matrices."""

from __future__ import annotations

from collections.abc import Sequence

from ssdreg.exporting.reading import Operator
from ssdreg.exporting.translation import translates, unsupported
from ssdreg.exporting.writer import Value, Writer


@translates("batch_dot", "_linalg_gemm2")
def batch_product(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a matrix product for each pair of a batch."""
    attrs, name = operator.attrs, operator.name
    if attrs.integer("axis", -2) != -2:
        raise unsupported(operator, "its matrices do not lie in the last two axes")
    left, right = (_transposed(value, attrs.flag(f"transpose_{side}"), f"{name}_{side}", writer)
                   for value, side in zip(inputs, "ab"))
    alpha = attrs.number("alpha", 1.0)
    if alpha == 1:
        return [writer.node("MatMul", [left, right], name, operator.shape)]
    product = writer.node("MatMul", [left, right], f"{name}_product")
    return [writer.node("Mul", [product, writer.floats(alpha, f"{name}_alpha")], name,
                        operator.shape)]


@translates("dot")
def product(operator: Operator, inputs: Sequence[Value], writer: Writer) -> list[Value]:
    """Write a product over the last axis of the first value and the first axis of the second."""
    attrs, name = operator.attrs, operator.name
    matrix = 2
    if len(inputs[1].sizes) != matrix or (attrs.flag("transpose_a")
                                          and len(inputs[0].sizes) != matrix):
        raise unsupported(operator, "its second factor is no matrix")
    left, right = (_transposed(value, attrs.flag(f"transpose_{side}"), f"{name}_{side}", writer)
                   for value, side in zip(inputs, "ab"))
    return [writer.node("MatMul", [left, right], name, operator.shape)]


def _transposed(value: Value, transposes: bool, name: str, writer: Writer) -> Value:
    """Write a transposition of the last two axes."""
    if not transposes:
        return value
    order = list(range(len(value.sizes)))
    order[-2:] = [order[-1], order[-2]]
    return writer.node("Transpose", [value], name, perm=order)
