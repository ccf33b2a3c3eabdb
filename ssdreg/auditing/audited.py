"""The verdict on one detector: the layers it taps, judged on its backbone's own graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from ssdreg.errors import TapError
from ssdreg.graph.stages import StageEnd, stage_ends
from ssdreg.graph.symbol import Graph, ShapedNode, read_graph
from ssdreg.graph.taps import verify_taps

if TYPE_CHECKING:
    from ssdreg.mx import mx

RIGHT, WRONG, ALTERED, UNKNOWN = "right", "wrong", "altered", "unknown"

#: The verdicts, and what each means.
VERDICTS = {
    RIGHT: "every tap is the end of its stage",
    WRONG: "a tap is not the end of its stage",
    ALTERED: "the taps are ends of the network's stages, but the detector changed its strides",
    UNKNOWN: "it cannot be told",
}


@frozen
class Layer:
    """A tapped layer; `stride` and `channels` are None where there is no such feature map."""

    name: str
    stride: int | None = None
    channels: int | None = None


@frozen(kw_only=True)
class Audited:
    """The verdict on one detector.

    `declared` are its taps as the graph shows them, `right` those it should have (the declared
    ones when they pass), `verdict` is a key of `VERDICTS`, and `reasons` say why it is not
    ``right``. `weights_used` of the backbone's `weights`, its classifier left out, are upstream
    of the declared taps. `published` and `corrected` count the values in the parameters of the
    detector with the declared and with the right taps, None where there is no such detector.
    `also` names detectors that differ from this one in their classes only.
    """

    preset: str
    network: str
    data_shape: tuple[int, int]
    declared: tuple[Layer, ...]
    verdict: str
    right: tuple[Layer, ...] = ()
    weights_used: int = 0
    weights: int = 0
    published: int | None = None
    corrected: int | None = None
    reasons: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of the backbone's weights that the detector uses, 0..1, where known."""
        return self.weights_used / self.weights if self.weights else None


@frozen
class Audit:
    """The verdicts on all detectors of one source, and a sentence on the count of parameters."""

    items: tuple[Audited, ...]
    counted: str

    @property
    def passed(self) -> bool:
        """Whether no detector is wrong, and at least one could be judged at all."""
        verdicts = {item.verdict for item in self.items}
        return WRONG not in verdicts and verdicts != {UNKNOWN} and bool(verdicts)


def strip_output(layer: str) -> str:
    """Return a layer's name without spaces and the ``_output`` that MXNet puts at its end."""
    return layer.strip().removesuffix("_output")


def judge(preset: str, network: str, symbol: mx.sym.Symbol, layers: Sequence[str],
          data_shape: tuple[int, int]) -> Audited:
    """Judge the `layers` of a backbone's own symbol by what `ssdreg.verify` says of them.

    `data_shape` is (height, width). Parameters are not counted here. Raises TapError when the
    symbol has no input ``data``, InputShapeError when it does not accept this shape.
    """
    names = tuple(map(strip_output, layers))
    graph = read_graph(symbol, data_shape)
    declared = tuple(_layer(graph, name) for name in names)
    audited = Audited(preset=preset, network=network, data_shape=data_shape, declared=declared,
                      verdict=RIGHT, right=declared, weights_used=weights_used(graph, names),
                      weights=graph.weights(graph.upstream(graph.pictures[-1:])))
    try:
        verify_taps(graph, names)
    except TapError as error:
        return attrs.evolve(audited, verdict=WRONG, reasons=complaints(error),
                            right=right_layers(stage_ends(graph), declared))
    return audited


def undecided(preset: str, network: str, data_shape: tuple[int, int], layers: Sequence[str],
              reason: str) -> Audited:
    """Return the verdict `UNKNOWN` on a detector that cannot be judged, with the reason."""
    return Audited(preset=preset, network=network, data_shape=data_shape, verdict=UNKNOWN,
                   declared=tuple(Layer(strip_output(layer)) for layer in layers),
                   reasons=(reason,))


def complaints(error: TapError) -> tuple[str, ...]:
    """Return each of the complaints that `verify` lists in its message."""
    lines = tuple(line.strip()[2:] for line in str(error).splitlines()
                  if line.strip().startswith("- "))
    return lines or (str(error),)


def right_layers(ends: Sequence[StageEnd], declared: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the stage ends at the declared strides.

    Where two taps share a stride, or have one at which no stage ends, their stages are not known:
    then these are the coarsest ends, as many as there are taps.
    """
    by_stride = {end.stride: end for end in ends}
    strides = {layer.stride for layer in declared if layer.stride in by_stride}
    chosen = ([end for end in ends if end.stride in strides] if len(strides) == len(declared)
              else list(ends)[-len(declared):])
    return tuple(Layer(end.node, end.stride, end.channels) for end in chosen)


def weights_used(graph: Graph, names: Sequence[str]) -> int:
    """Return the number of weights upstream of these nodes, up to the last feature map."""
    backbone = graph.upstream(graph.pictures[-1:])
    return graph.weights(graph.upstream(names) & backbone)


def without_prefix(audited: Audited, prefix: str) -> Audited:
    """Remove a prefix that all names of nodes share, such as Gluon's name of the network."""
    def shorten(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        return tuple(attrs.evolve(layer, name=layer.name.removeprefix(prefix))
                     for layer in layers)
    return attrs.evolve(
        audited, declared=shorten(audited.declared), right=shorten(audited.right),
        reasons=tuple(reason.replace(f"'{prefix}", "'") for reason in audited.reasons))


def as_layer(node: ShapedNode, name: str | None = None) -> Layer:
    """Return the layer of a graph's node, called `name` or as the node."""
    return Layer(name or node.name, node.stride[0] if node.stride else None,
                 node.channels if node.stride else None)


def _layer(graph: Graph, name: str) -> Layer:
    node = graph.find(name)
    return Layer(name) if node is None or node.is_variable else as_layer(node, name)
