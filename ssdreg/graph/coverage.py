"""The taps chosen on a network: the place of each in the anatomy, and the weights they use."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from ssdreg.errors import TapError
from ssdreg.graph.summary import Anatomy, Part
from ssdreg.graph.symbol import Graph


@frozen
class Mark:
    """One tap's place: its map, and the block it lies in.

    `stage` and `block` are positions in the anatomy, from 0; what lies behind the last stage has
    the position of one more stage. `inside` tells that weights of the block come after it.
    """

    node: str
    channels: int
    height: int
    width: int
    stage: int
    block: int
    inside: bool


@frozen
class TapChoice:
    """Some taps and the part of the backbone that they need, its classifier left out.

    `weights_used` of `weights` values, in arguments and auxiliary states, are upstream of them.
    """

    marks: tuple[Mark, ...]
    weights_used: int
    weights: int
    nodes: frozenset[int] = field(repr=False)

    @property
    def share(self) -> float:
        """The share, 0..1, of the backbone's weights that the taps use."""
        return self.weights_used / self.weights if self.weights else 0.0

    def uses(self, part: Part) -> bool:
        """Tell whether anything in a part of the network is upstream of the taps."""
        return not self.nodes.isdisjoint(part.members)


def choose(graph: Graph, anatomy: Anatomy, taps: Iterable[str]) -> TapChoice:
    """Find taps, right or wrong, on a graph and its anatomy.

    Raises TapError for a node that does not exist and for one that is no feature map, or when no
    tap is given.
    """
    names = tuple(taps)
    if not names:
        raise TapError("no tap is given: name the nodes whose maps would feed detection")
    marks = tuple(_mark(graph, anatomy, name) for name in names)
    used = graph.upstream(names)
    backbone = {index for part in anatomy.backbone for index in part.members}
    return TapChoice(marks, graph.weights(used & backbone), graph.weights(backbone),
                     frozenset(used))


def _mark(graph: Graph, anatomy: Anatomy, name: str) -> Mark:
    node = graph.find(name)
    if node is None or node.is_variable:
        raise TapError(f"there is no node {name!r}: {graph.suggest(name)}")
    places: list[tuple[int, int, Part]] = [
        (stage, block, part) for stage, anatomy_stage in enumerate(anatomy.stages)
        for block, part in enumerate(anatomy_stage.blocks)]
    places.append((len(anatomy.stages), 0, anatomy.tail))
    for stage, block, part in places:
        if node.index in part.members and node.stride is not None:
            behind = part.members - graph.upstream([node])
            return Mark(node.name, node.channels, node.shape[2], node.shape[3], stage, block,
                        inside=graph.weights(behind) > 0)
    raise TapError(f"{name!r} is no feature map: its shape is {node.shape}, behind the point where "
                   f"the picture is pooled away")
