"""What follows from the size of a network's input: the shape and the stride of every node."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ssdreg.errors import InputShapeError
from ssdreg.graph.nodes import DATA
from ssdreg.graph.operators import CROPS, PADDINGS, POOLINGS, RESIZERS
from ssdreg.graph.wiring import WINDOWS, Wiring

Shape = tuple[int, ...]
#: Input pixels (down, across) per cell of a map.
Stride = tuple[int, int]


def infer_shapes(wiring: Wiring, data_shape: tuple[int, int]) -> list[Shape]:
    """Return the shape of each node's first output, () where it is not known.

    Raises InputShapeError when the network does not accept an input (1, 3, height, width) of
    `data_shape`. Where only the classifier does not (its pooling is larger than the map, say),
    what the classifier computes has no shape.
    """
    from ssdreg.mx import mx
    part, lost = wiring.internals, set[str]()
    places: Sequence[int] = ()
    while True:
        try:
            # the partial inference infers just as much, and does not print when it fails
            _, shapes, _ = part.infer_shape_partial(**{DATA: (1, 3, *data_shape)})
            break
        except mx.MXNetError as error:
            complaint = _not_accepted(error, data_shape)
            beyond = _classifier_from(wiring, complaint.node)
            if not beyond - lost:
                raise complaint from error
            lost |= beyond
            places = [place for place, output in enumerate(wiring.internals)
                      if output.name not in lost]
            part = mx.sym.Group([wiring.internals[place] for place in places])
    if lost:
        known = dict(zip(places, shapes or ()))
        return [() if place is None else known.get(place, ()) for place in wiring.outputs]
    return [() if place is None or not shapes else shapes[place] for place in wiring.outputs]


def _not_accepted(error: Exception, data_shape: tuple[int, int]) -> InputShapeError:
    """Put MXNet's report of a failed inference into a sentence."""
    where = re.search(r"Error in operator ([^\s:]+)", str(error))
    node = where.group(1) if where else None
    # MXNet writes "condition in C++: what it means"
    reason = str(error).splitlines()[-1].rpartition("Check failed: ")[2].strip()
    reason = reason.partition(": ")[2] or reason
    return InputShapeError(
        f"the backbone does not accept an input of {data_shape[0]}x{data_shape[1]} pixels"
        f"{f', at node {node!r}' if node else ''}: {reason}", node)


def _classifier_from(wiring: Wiring, name: str | None) -> set[str]:
    """Return the names of a node and all behind it; none if one still does a stage's work."""
    behind: set[int] = set()
    for index, sources in enumerate(wiring.sources):
        if wiring.names[index] == name or not behind.isdisjoint(sources):
            behind.add(index)
    return set() if behind & wiring.working else {wiring.names[index] for index in behind}


def infer_strides(wiring: Wiring, shapes: Sequence[Shape]) -> list[Stride | None]:
    """Return each node's stride, None where it has no map, or one that is no picture any more."""
    strides: list[Stride | None] = [None] * len(shapes)
    for index, before in enumerate(wiring.data_sources):
        if before:
            pictures = [source for source in before if strides[source] is not None]
            if pictures:
                coarsest = pictures[0] if len(pictures) == 1 else max(
                    pictures, key=lambda source: math.prod(strides[source] or (0, 0)))
                strides[index] = _stride(wiring, index, strides[coarsest] or (1, 1),
                                         shapes[coarsest], shapes[index])
        elif before is not None:
            strides[index] = (1, 1)
    return strides


def _stride(wiring: Wiring, index: int, coarsest: Stride, read: Shape, shape: Shape
            ) -> Stride | None:
    """Work out a node's stride from its own settings, and the stride and shape of what it reads.

    Settings are exact where shapes are not: an unpadded 3x3 convolution takes two pixels off
    the map but the distance between its cells stays the same.
    """
    if len(read) < 2:
        return None
    op = wiring.ops[index]
    (down, across), (height, width) = coarsest, read[-2:]
    if len(shape) == 5 and shape[3:] == (height, width):
        return coarsest  # channels in groups, on their way through a channel shuffle
    if len(shape) != 4:
        return None
    if op in POOLINGS and _is_global(wiring, index, read):
        return None
    if op in WINDOWS:
        step_down, step_across = wiring.attrs(index).pair("stride", 1)
        return down * step_down, across * step_across
    if op in PADDINGS:
        return coarsest
    if op in CROPS:
        steps = [1 if step is None else abs(step) for step in wiring.attrs(index).sequence("step")]
        step_down, step_across = steps[2:] if len(steps) == 4 else (1, 1)
        return down * step_down, across * step_across
    if shape[2] == height and shape[3] == width:
        return coarsest
    if shape[2:] == (1, 1):
        return None  # a mean over the map, or a reshape: a picture no more
    if op not in RESIZERS and (shape[2] > height or shape[3] > width):
        return None
    return (max(1, round(down * height / shape[2])), max(1, round(across * width / shape[3])))


def _is_global(wiring: Wiring, index: int, read: Shape) -> bool:
    """Tell whether a pooling takes in the whole map: by its setting, or an average by its size.

    The last average is meant to, even if the map of a larger input than usual is left in pieces.
    """
    attrs = wiring.attrs(index)
    if attrs.flag("global_pool"):
        return True
    down, across = attrs.pair("kernel", 1)
    return (attrs.text("pool_type") == "avg" and max(down, across) > 3
            and (index not in wiring.working or (down >= read[2] and across >= read[3])))
