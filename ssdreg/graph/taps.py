"""Taps, proven: is each one the end of its stage, on the graph itself?

The class of mistake this module exists for: the feature layers of ResNet-50 copied to
ResNet-101, where the same names lie in the middle of stage 3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import TapError
from ssdreg.graph.operators import CONVOLUTIONS
from ssdreg.graph.stages import StageEnd, coverage, tappable_ends
from ssdreg.graph.symbol import Graph, ShapedNode, read_graph
from ssdreg.registry.backbone import Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: A share of weights that is written as 100.0 %: what is lost is a normalisation at the end.
NEXT_TO_ALL = 0.9995


@frozen
class Verification:
    """What the graph says of a set of taps that passed.

    `coverage` is the share, 0..1, of the backbone's weights (classifier aside) upstream of the
    taps: `weights_used` of `weights`. `stages` names the right tap for every stride.
    """

    taps: tuple[str, ...]
    coverage: float
    weights_used: int
    weights: int
    stages: tuple[StageEnd, ...]


def verify(symbol: mx.sym.Symbol, taps: Iterable[Tap | str],
           data_shape: int | tuple[int, int]) -> Verification:
    """Prove that `taps` are ends of stages of `symbol`, a backbone's own symbol.

    `taps` are declared ones, the finest first, or bare node names, of which stride, channels and
    stage number are not checked. They need not be all there are: that is for
    :func:`ssdreg.verify_backbone`. `data_shape` is a side in pixels or (height, width). Works on
    the graph and its inferred shapes; needs no weights and binds nothing.

    Raises TapError, a ValueError, with every complaint in its message: a node that does not
    exist, a stride or channel count other than declared, a stage number that is not its place,
    taps out of order or two at one stride, a tap off the trunk (some path goes around it), a tap
    that is not the end of its stage (a merge, or a convolution or pooling with a kernel above 1x1,
    follows at the same resolution).
    """
    if isinstance(taps, str):
        raise TapError(f"taps={taps!r} must be a list or tuple of nodes")
    return verify_taps(read_graph(symbol, as_pair(data_shape)), tuple(taps))


def verify_taps(graph: Graph, taps: Sequence[Tap | str]) -> Verification:
    """Do what :func:`verify` does on a graph that was read before."""
    names = tuple(map(_name, taps))
    complaints = complaints_about(graph, taps)
    if not taps:
        complaints.append("no tap is given")
    if complaints:
        raise refusal(graph, names, complaints)
    return verification(graph, names)


def verification(graph: Graph, names: tuple[str, ...]) -> Verification:
    """Return what the graph says of these taps, which passed."""
    used, weights = coverage(graph, names)
    return Verification(names, used / weights if weights else 0.0, used, weights,
                        tappable_ends(graph))


def refusal(graph: Graph, names: Sequence[str], complaints: Sequence[str]) -> TapError:
    """Put complaints into an error that says what these nodes lose, and what is right.

    A share of weights is told only where some are lost: that all of them lie in front of taps
    that are wrong says nothing good of the taps.
    """
    used, weights = coverage(graph, names)
    ends = ", ".join(f"{end.stride}: {end.node!r} ({end.channels} channels)"
                     for end in tappable_ends(graph))
    lines = ["these taps are not the ends of the backbone's stages:",
             *(f"  - {complaint}" for complaint in complaints)]
    share = used / weights if weights else 1.0
    if share < NEXT_TO_ALL:
        lines.append(f"  They use {share:.1%} of the backbone's weights ({used:,} of {weights:,}); "
                     f"{1 - share:.1%} are lost.")
    lines.append(f"  The right tap for each stride is {ends}.")
    return TapError("\n".join(lines), coverage=share if share < NEXT_TO_ALL else None)


def find_taps(symbol: mx.sym.Symbol, data_shape: int | tuple[int, int]) -> tuple[Tap, ...]:
    """Find the taps of a classification network: the ends of its stages, the finest first.

    `symbol` is the network's own, classifier included where it has one; `data_shape` is a side in
    pixels or (height, width). `Tap.stage` counts from 1. What is found passes :func:`verify`, so
    a stage is left out whose cells are not as high as they are wide, and one whose resolution the
    network comes back to on a later way up. Works on the graph and its inferred shapes; needs no
    weights and binds nothing.

    Raises TapError when the graph has no usable stages: nothing on the trunk works on a picture,
    the resolution never drops, or the network parts into branches that never meet again; and
    InputShapeError when it does not accept this shape.
    """
    return taps_of(read_graph(symbol, as_pair(data_shape)))


def taps_of(graph: Graph) -> tuple[Tap, ...]:
    """Do what :func:`find_taps` does on a graph that was read before."""
    parted = branches(graph)
    if parted:
        raise TapError(f"the network has no usable stages: {parted}; give a classification "
                       f"network's own symbol, with one output, instead of a detector's")
    ends = tappable_ends(graph)
    if not ends:
        first = next((node for node in graph.nodes
                      if node.from_data and not node.is_variable), None)
        seen = f"; the first node, {first.name!r}, is {first.op}" if first else ""
        raise TapError(f"the network has no stages: no convolution or merge works on a picture "
                       f"that every path runs through{seen}")
    if ends[-1].stride == 1:
        raise TapError(f"the network has no stages: its resolution never drops, {ends[-1].node!r} "
                       f"still has a cell for every pixel")
    for end in ends:
        if graph.count(end.node) > 1:
            raise TapError(_ambiguous(graph, end.node))
    return tuple(Tap(stage, end.stride, end.channels, end.node)
                 for stage, end in enumerate(ends, start=1))


def branches(graph: Graph) -> str:
    """Say where the network goes on beside or behind the trunk's last picture; "" if nowhere."""
    pictures = graph.pictures
    if not pictures:
        return ""
    last = pictures[-1]
    before = graph.upstream([last])
    for index in graph.wiring.windows:
        if graph.strides[index] is not None and index not in before:
            return (f"behind {last.name!r} (stride {stride_text(last.stride)}) it parts into "
                    f"branches that never meet in one map again, {graph.nodes[index].name!r} is in "
                    f"one of them")
    return ""


def complaints_about(graph: Graph, taps: Sequence[Tap | str]) -> list[str]:
    """Say what is wrong with taps, one by one and in their order; they need not be all."""
    return [*(complaint for tap in taps for complaint in _complaints(graph, tap)),
            *_stage_complaints(graph, [tap for tap in taps if isinstance(tap, Tap)]),
            *_order_complaints(graph, tuple(map(_name, taps)))]


def _name(tap: Tap | str) -> str:
    return tap.node if isinstance(tap, Tap) else tap


def _complaints(graph: Graph, tap: Tap | str) -> list[str]:
    """Say what is wrong with one tap taken alone."""
    name = _name(tap)
    node = graph.find(name)
    if node is None or node.is_variable:
        return [f"there is no node {name!r}: {graph.suggest(name)}"]
    if graph.count(node.name) > 1:
        return [_ambiguous(graph, node.name)]
    if node.stride is None:
        return [f"{name!r} is no feature map: its shape is {node.shape}, behind the point where "
                f"the picture is pooled away"]
    complaints = []
    if isinstance(tap, Tap):
        if node.stride != (tap.stride, tap.stride):
            complaints.append(f"{name!r} is declared at stride {tap.stride} but lies at stride "
                              f"{stride_text(node.stride)}")
        if node.channels != tap.channels:
            complaints.append(f"{name!r} is declared with {tap.channels} channels but has "
                              f"{node.channels}")
    if node.index not in graph.wiring.on_trunk:
        complaints.append(_off_trunk(graph, node))
    else:
        complaints += _unfinished(graph, node, tap)
    return complaints


def _ambiguous(graph: Graph, name: str) -> str:
    return (f"{graph.count(name)} nodes are called {name!r}, so none of them can be tapped: build "
            f"the network so that they have names of their own")


def _off_trunk(graph: Graph, node: ShapedNode) -> str:
    """Say that paths go around a node, and where they meet again."""
    after = {node.index}
    for later in graph.nodes[node.index + 1:]:
        if after.intersection(later.sources):
            after.add(later.index)
    meets = next((graph.nodes[index] for index in graph.trunk
                  if index > node.index and index in after), None)
    where = f"; the paths meet at {meets.name!r}" if meets is not None else ""
    return (f"{node.name!r} is not on the trunk: it is inside a block, and another path goes "
            f"around it{where}")


def _unfinished(graph: Graph, node: ShapedNode, tap: Tap | str) -> list[str]:
    """Say what of its stage is still to come behind a node on the trunk, if anything is."""
    behind = graph.trunk[bisect_right(graph.trunk, node.index):]
    rest = [graph.nodes[index] for index in behind if graph.strides[index] == node.stride]
    working = [later for later in rest if graph.mixes(later)]
    if not working:
        return []
    stride = stride_text(node.stride)
    stage = "its stage"
    if isinstance(tap, Tap) and node.stride == (tap.stride, tap.stride):
        stage = f"stage {tap.stage}"
    stage += f" (stride {stride})"
    merges = [later for later in working if graph.merges(later)]
    last = working[-1]
    if merges:
        units = "1 unit" if len(merges) == 1 else f"{len(merges)} units"
        verb = "is" if len(merges) == 1 else "are"
        return [f"{node.name!r} is not the end of {stage}: {units} {verb} still to come before "
                f"the resolution drops, the last ends in {last.name!r}"]
    if graph.gates(last):
        return [f"{node.name!r} is not the end of {stage}: the gate {last.name!r} still follows "
                f"before the resolution drops"]
    kind = "convolution" if last.op in CONVOLUTIONS else "pooling"
    return [f"{node.name!r} is not the end of {stage}: the {last.kernel}x{last.kernel} {kind} "
            f"{last.name!r} still follows before the resolution drops"]


def _stage_complaints(graph: Graph, taps: Sequence[Tap]) -> list[str]:
    """Say which stage numbers are not the stages' places, counted from 0 for a stem or from 1."""
    places = {end.stride: place for place, end in enumerate(tappable_ends(graph))}
    firsts = [tap.stage - places[tap.stride] for tap in taps if tap.stride in places]
    # the first number by which most taps agree, 0 or 1
    first = max((0, 1), key=firsts.count)
    return [f"{tap.node!r} is declared as the end of stage {tap.stage}, but stride {tap.stride} is "
            f"stage {places[tap.stride] + first} of {len(places) - 1 + first}, the first being "
            f"stage {first}"
            for tap in taps if tap.stride in places and tap.stage - places[tap.stride] != first]


def _order_complaints(graph: Graph, names: Sequence[str]) -> list[str]:
    """Say which neighbours share a stride or come in the wrong order."""
    nodes = [node for node in map(graph.find, names)
             if node is not None and node.stride is not None]
    complaints = []
    for left, right in zip(nodes, nodes[1:]):
        assert left.stride is not None
        assert right.stride is not None
        if left.stride == right.stride:
            complaints.append(f"{left.name!r} and {right.name!r} are both at stride "
                              f"{stride_text(left.stride)}: a stage has one end")
        elif left.stride > right.stride:
            complaints.append(f"{left.name!r} at stride {stride_text(left.stride)} comes before "
                              f"{right.name!r} at stride {stride_text(right.stride)}: the finest "
                              f"goes first")
    return complaints


def as_pair(data_shape: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width); a number is both sides."""
    height, width = (data_shape,) * 2 if isinstance(data_shape, int) else data_shape
    return height, width


def stride_text(stride: tuple[int, int] | None) -> str:
    """Write a stride as one number, or as two where cells are not square."""
    down, across = stride or (0, 0)
    return str(down) if down == across else f"{down}x{across}"
