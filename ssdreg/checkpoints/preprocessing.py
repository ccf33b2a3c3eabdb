"""The preprocessing inside a network's symbol, taken out of it.

GluonCV's ``export_block`` puts it there by default: an input of (B, H, W, 3) from 0 to 255, minus
a mean, over a deviation, transposed to (B, 3, H, W). Here it becomes a `Preprocessing`, and the
network behind it is read as any other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import evolve, frozen

from ssdreg.errors import RunError
from ssdreg.graph.nodes import DATA, VARIABLE, Entry, Net
from ssdreg.graph.operators import CONVOLUTIONS
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params

#: Leave values as they are.
_SAME = {"identity", "_copy", "Cast", "cast", "BlockGrad"}
#: From (B, H, W, C) to (B, C, H, W).
_TO_PLANES = (0, 3, 1, 2)
#: A number for each plane of (B, 3, H, W).
_OF_PLANES = (1, 3, 1, 1)
#: No side of an input is that long.
_SIDE_END = 100_000
_Change = Callable[[Any, Any], Any]
_WITH_ARRAY = {"broadcast_add": operator.add, "broadcast_plus": operator.add,
               "broadcast_sub": operator.sub, "broadcast_minus": operator.sub,
               "broadcast_mul": operator.mul, "broadcast_div": operator.truediv}
_WITH_NUMBER = {"_plus_scalar": operator.add, "_minus_scalar": operator.sub,
                "_mul_scalar": operator.mul, "_div_scalar": operator.truediv}
_EITHER_WAY = {"broadcast_add", "broadcast_plus", "broadcast_mul"}
#: Change the shift alone; a product changes the factor too.
_SHIFTS = (operator.add, operator.sub)


@frozen(eq=False)
class _Pixels:
    """The input after some operators: ``factor * pixel + shift``, and its layout."""

    end: Entry
    factor: np.ndarray
    shift: np.ndarray
    planes: bool = False
    #: Whether anything was added, in the layout that it has now.
    shifted: bool = False


def take_out(net: Net, params: Params | None, where: str) -> tuple[Net, Preprocessing | None]:
    """Take the preprocessing of pixels out of a network whose symbol does it.

    Returns the network behind it, whose input is (B, 3, H, W), and what it did; the same network
    and None where its symbol begins with a layer. Raises RunError when it does what no
    `Preprocessing` says, or when the parameters that say it are missing.
    """
    begin = _input(net)
    if begin is None:
        return net, None
    pixels: _Pixels | None = _Pixels((begin, 0), np.ones(3), np.zeros(3))
    steps = []
    while pixels:
        steps.append(pixels)
        pixels = _next(net, pixels, params, where)
    if not steps[-1].planes:
        _refuse_pixels_last(net, begin, where)
    # a scale alone is a layer of the network, as in GluonCV's VGG
    ends = [after for before, after in zip(steps, steps[1:])
            if (after.planes and not before.planes) or after.shifted]
    last = ends[-1] if ends else None
    if last is None:
        return net, None
    if (last.factor <= 0).any() or (last.shift > 0).any():
        raise RunError(f"{where} makes of a pixel x {last.factor.round(6).tolist()} * x + "
                       f"{last.shift.round(6).tolist()}, which is no (x - mean) / deviation: "
                       f"export it without its preprocessing")
    behind = net.rewired({last.end: (begin, 0)})
    return behind.ordered(*behind.heads), Preprocessing(
        _short(-last.shift / last.factor), _short(1 / last.factor))


def _refuse_pixels_last(net: Net, begin: int, where: str) -> None:
    """Raise RunError where the input becomes planes behind something that is not understood."""
    for node in net.find("transpose", "_image_to_tensor"):
        line = list(net.main_line(node))
        turns = net.op(node) != "transpose" or net.attrs(node).sequence("axes") == _TO_PLANES
        if turns and line[-1] == begin and not any(net.op(index) in CONVOLUTIONS for index in line):
            raise RunError(f"{where} takes images as height x width x channels, and what it does "
                           f"to them before {net.name(node)!r} is not understood: export it as "
                           f"channels x height x width (GluonCV: export_block with "
                           f"preprocess=None and layout='CHW')")


def _short(values: np.ndarray) -> tuple[float, float, float]:
    """Return the numbers that were written as float32."""
    red, green, blue = (abs(float(f"{value:.7g}")) for value in values)
    return red, green, blue


def _next(net: Net, pixels: _Pixels, params: Params | None, where: str) -> _Pixels | None:
    """Follow the input through one operator; None where the network begins."""
    readers = [index for index in range(len(net.nodes)) if pixels.end in net.inputs(index)]
    if len(readers) != 1 or pixels.end in net.heads:
        return None
    node, op, attrs = readers[0], net.op(readers[0]), net.attrs(readers[0])
    ahead = evolve(pixels, end=(node, 0))
    if op in _SAME:
        return ahead
    if op == "transpose" and not pixels.planes and attrs.sequence("axes") == _TO_PLANES:
        return evolve(ahead, planes=True, shifted=False)
    if op == "_image_to_tensor" and not pixels.planes:
        return evolve(_done(ahead, operator.truediv, 255.0), planes=True, shifted=False)
    if op in _WITH_NUMBER:
        return _done(ahead, _WITH_NUMBER[op], attrs.number("scalar", 1.0))
    if op == "_image_normalize":
        once = _done(ahead, operator.sub, np.array(attrs.numbers("mean", (0.0,))))
        return _done(once, operator.truediv, np.array(attrs.numbers("std", (1.0,))))
    if op in _WITH_ARRAY:
        left, right = net.inputs(node)
        other = right if left == pixels.end else left
        if net.op(other[0]) != VARIABLE or (other is left and op not in _EITHER_WAY):
            return None
        values = _by_channel(net.name(other[0]), pixels.planes, params, where)
        return None if values is None else _done(ahead, _WITH_ARRAY[op], values)
    return None


def _done(pixels: _Pixels, change: _Change, value: Any) -> _Pixels:
    shift = change(pixels.shift, value)
    if change in _SHIFTS:
        return evolve(pixels, shift=shift, shifted=True)
    return evolve(pixels, factor=change(pixels.factor, value), shift=shift)


def _by_channel(name: str, planes: bool, params: Params | None, where: str) -> np.ndarray | None:
    """Return a constant's values, one or one a channel; None for an array of another form."""
    array = params.args.get(name) if params else None
    if array is None:
        raise RunError(f"{where} normalises its input itself, by {name!r}, which is not among its "
                       f"parameters: give the .params file that belongs to it")
    values: np.ndarray = array.asnumpy().astype("float64")
    # of this shape a constant is a number a channel of an input that is planes from the start
    axis = values.ndim - (3 if planes or values.shape == _OF_PLANES else 1)
    if values.size == 1:
        return values.reshape(1)
    return values.ravel() if values.size == 3 and axis >= 0 and values.shape[axis] == 3 else None


def _input(net: Net) -> int | None:
    return next((index for index in net.find(VARIABLE) if net.name(index) == DATA), None)


def stated_shape(net: Net) -> tuple[int, int] | None:
    """Return the height and width that a symbol states for its input, where it does.

    For (B, 3, H, W) and, before `take_out`, (B, H, W, 3).
    """
    index = _input(net)
    if index is None:
        return None
    try:
        sides = net.attrs(index).sequence("__shape__")
    except ValueError:  # any text may be there: MXNet has not looked at it yet
        return None
    if (len(sides) != 4 or 3 not in (sides[1], sides[3])
            or not all(isinstance(side, int) and 0 <= side < _SIDE_END for side in sides)):
        return None
    height, width = sides[2:] if sides[1] == 3 else sides[1:3]
    return (height, width) if height and width else None
