"""Elementwise operators: of one value, of two, or of a value and a number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.precision import DTYPES
from ssdreg_torch.translation import Compute, Operation, translates, unsupported

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "exp": torch.exp,
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
    "square": torch.square, "abs": torch.abs, "negative": torch.neg, "floor": torch.floor,
    "ceil": torch.ceil, "erf": torch.erf, "softsign": functional.softsign,
    "reciprocal": torch.reciprocal, "sign": torch.sign, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan, "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan,
    "sinh": torch.sinh, "cosh": torch.cosh, "zeros_like": torch.zeros_like,
    "ones_like": torch.ones_like, "_copy": lambda data: data, "BlockGrad": torch.detach}
BINARY: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "add": (torch.add, ("elemwise_add", "broadcast_add")),
    "sub": (torch.sub, ("elemwise_sub", "broadcast_sub")),
    "mul": (torch.mul, ("elemwise_mul", "broadcast_mul")),
    "div": (torch.div, ("elemwise_div", "broadcast_div")),
    "pow": (torch.pow, ("_power", "broadcast_power")),
    "maximum": (torch.maximum, ("_maximum", "broadcast_maximum")),
    "minimum": (torch.minimum, ("_minimum", "broadcast_minimum"))}
#: Operators with a number.
SCALAR: dict[str, Callable[[Tensor, float], Tensor]] = {
    "_plus_scalar": lambda data, number: data + number,
    "_minus_scalar": lambda data, number: data - number,
    "_rminus_scalar": lambda data, number: number - data,
    "_mul_scalar": lambda data, number: data * number,
    "_div_scalar": lambda data, number: data / number,
    "_rdiv_scalar": lambda data, number: number / data,
    "_power_scalar": lambda data, number: data ** number,
    "_rpower_scalar": lambda data, number: number ** data,
    "_maximum_scalar": lambda data, number: torch.clamp(data, min=number),
    "_minimum_scalar": lambda data, number: torch.clamp(data, max=number)}
#: Comparisons, whose results in MXNet are 1 and 0 of the input's type.
COMPARISONS: dict[str, Callable[..., Tensor]] = {
    "equal": torch.eq, "not_equal": torch.ne, "greater": torch.gt, "greater_equal": torch.ge,
    "lesser": torch.lt, "lesser_equal": torch.le}



def _with_number(function: Callable[[Tensor, float], Tensor]) -> Callable[[Node], Compute]:
    def translate(node: Node) -> Compute:
        number = node.attrs.number("scalar")
        return lambda data: function(data, number)
    return translate


def _comparison(compare: Callable[..., Tensor]) -> Callable[[Node], Compute]:
    def translate(node: Node) -> Compute:
        if node.op.endswith("_scalar"):
            number = node.attrs.number("scalar")
            return lambda data: compare(data, number).to(data.dtype)
        return lambda data, other: compare(data, other).to(data.dtype)
    return translate


def _same(function: Callable[..., Tensor]) -> Callable[[Node], Compute]:
    return lambda node: function


for _op, _unary in UNARY.items():
    translates(_op)(_same(_unary))
for _binary, _ops in BINARY.values():
    translates(*_ops)(_same(_binary))
for _op, _scalar in SCALAR.items():
    translates(_op)(_with_number(_scalar))
for _op, _compare in COMPARISONS.items():
    translates(f"_{_op}", f"broadcast_{_op}", f"_{_op}_scalar")(_comparison(_compare))


@translates("add_n")
def sum_of_all(node: Node) -> Compute:
    """Return the sum of all inputs."""
    def compute(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first
    return compute


@translates("Dropout")
def dropout(node: Node) -> Operation | Compute:
    """Return values of which some are dropped at random: in training, or always."""
    share, axes = node.attrs.number("p", 0.5), node.attrs.sequence("axes")

    def drop(data: Tensor) -> Tensor:
        if not axes:
            return functional.dropout(data, share, training=True)
        sizes = [1 if axis in axes else size for axis, size in enumerate(data.shape)]
        return data * functional.dropout(data.new_ones(sizes), share, training=True)
    return drop if node.attrs.text("mode") == "always" else Operation(drop, lambda data: data)


@translates("Cast", "amp_cast")
def cast(node: Node) -> Compute:
    """Return another type of floating-point numbers."""
    dtype = node.attrs.text("dtype")
    if dtype not in DTYPES:
        raise unsupported(node, f"it makes {dtype} of its input")
    return lambda data: data.to(DTYPES[dtype])


@translates("amp_multicast")
def multicast(node: Node) -> Compute:
    """Return all inputs in the widest of their types, or in the narrowest."""
    narrow = node.attrs.flag("cast_narrow")

    def compute(*inputs: Tensor) -> list[Tensor]:
        dtypes = sorted({data.dtype for data in inputs}, key=lambda dtype: dtype.itemsize)
        return [data.to(dtypes[0] if narrow else dtypes[-1]) for data in inputs]
    return compute


@translates("_contrib_div_sqrt_dim")
def div_sqrt_dim(node: Node) -> Compute:
    """Return a quotient by the root of the last dimension, as attention has it."""
    return lambda data: data / data.shape[-1] ** 0.5


@translates("where")
def where(node: Node) -> Compute:
    """Return a selection between two values; a condition (B,) applies to whole images."""
    def compute(condition: Tensor, if_true: Tensor, if_false: Tensor) -> Tensor:
        if condition.ndim < if_true.ndim:
            condition = condition.reshape(-1, *[1] * (if_true.ndim - 1))
        return torch.where(condition != 0, if_true, if_false)
    return compute


@translates("smooth_l1")
def smooth_l1(node: Node) -> Compute:
    """Return ``(s * x)**2 / 2`` where ``|x| < 1 / s**2``, else ``|x| - 1 / (2 * s**2)``."""
    square = node.attrs.number("scalar", 1.0) ** 2

    def compute(data: Tensor) -> Tensor:
        size = data.abs()
        return torch.where(size < 1 / square, 0.5 * square * data * data, size - 0.5 / square)
    return compute


@translates("one_hot")
def one_hot(node: Node) -> Compute:
    """Return a new last axis, on at an index; an index outside of it has a row that is off."""
    depth, attrs = node.attrs.integer("depth"), node.attrs
    on, off = attrs.number("on_value", 1.0), attrs.number("off_value", 0.0)
    dtype = attrs.text("dtype", "float32")
    if dtype not in DTYPES:
        raise unsupported(node, f"it makes {dtype}")

    def compute(data: Tensor) -> Tensor:
        places = torch.arange(depth, device=data.device)
        is_there = data.detach().unsqueeze(-1).trunc() == places
        return is_there.to(DTYPES[dtype]) * (on - off) + off
    return compute


@translates("pick")
def pick(node: Node) -> Compute:
    """Return one value of an axis by its index; an index beyond it is the nearest, or wraps."""
    axis, keep = node.attrs.integer("axis", -1), node.attrs.flag("keepdims")
    wraps = node.attrs.text("mode", "clip") == "wrap"

    def compute(data: Tensor, index: Tensor) -> Tensor:
        size, places = data.shape[axis], index.detach().long()
        places = places % size if wraps else places.clamp(0, size - 1)
        if places.ndim < data.ndim:
            places = places.unsqueeze(axis)
        picked = data.gather(axis, places)
        return picked if keep else picked.squeeze(axis)
    return compute
