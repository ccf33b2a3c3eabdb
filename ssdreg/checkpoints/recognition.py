"""Which backbone a checkpoint's network is, by the names and shapes of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from ssdreg.checkpoints.layout import Layout
from ssdreg.checkpoints.levels import MeasuredDetector
from ssdreg.errors import TapError
from ssdreg.graph.finding import complete
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.taps import Verification, verify
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import list_backbones


@frozen(eq=False)
class Recognized:
    """A backbone found in a checkpoint.

    `taps` are the nodes of it that feed detection. Either they are proven to be ends of its
    stages (`verification`), or `complaint` says what is wrong with them.
    """

    backbone: Backbone
    taps: tuple[str, ...]
    verification: Verification | None
    complaint: str


def registered(measured: MeasuredDetector) -> tuple[Backbone, ...]:
    """Return the registered backbones that may be in a checkpoint, the smallest first.

    Those with a tap whose node the checkpoint has too; the others need not be built.
    """
    names = {node.name for node in measured.graph.nodes if not node.is_variable}
    return tuple(backbone for backbone in list_backbones()
                 if any(tap.node in names for tap in backbone.taps))


def recognize(measured: MeasuredDetector, candidates: Iterable[Backbone],
              names: Mapping[str, str] | None = None) -> Recognized | None:
    """Find the first of `candidates` that has all a checkpoint's taps are computed from.

    A backbone fits as far as it has a tap's node, and every parameter upstream of it by name
    and shape. A checkpoint with taps inside a network holds only the part up to them, so the
    smallest that fits is taken; list candidates in that order. `names` maps the checkpoint's
    names to the candidates', where they differ. None when no candidate has even the first tap.
    """
    best: tuple[Backbone, int] | None = None
    for candidate in candidates:
        fitting = _fitting(measured, candidate, names or {})
        if fitting > (best[1] if best else 0):
            best = (candidate, fitting)
        if fitting == measured.taps:
            break
    if best is None:
        return None
    backbone, count = best
    taps = tuple((names or {}).get(node.name, node.name) for node in measured.features[:count])
    declared = {tap.node: tap for tap in complete(backbone).taps}
    try:
        verification = verify(backbone.symbol(), [declared.get(tap, tap) for tap in taps],
                              measured.data_shape)
    except TapError as error:
        return Recognized(backbone, taps, None, str(error))
    return Recognized(backbone, taps, verification, "")


def verify_layout(layout: Layout, measured: MeasuredDetector) -> tuple[Verification | None, str]:
    """Verify the taps of a network that nobody declared, on the checkpoint's own graph.

    Returns what the graph says, or the complaint. What lies behind the last tap is not in a
    checkpoint, so that it cannot be told whether more of the network should have come.
    """
    symbol = layout.net.cut((layout.features[measured.taps - 1], 0))
    taps = [node.name for node in measured.features[:measured.taps]]
    try:
        return verify(symbol, taps, measured.data_shape), ""
    except TapError as error:
        return None, str(error)


def _fitting(measured: MeasuredDetector, candidate: Backbone, names: Mapping[str, str]) -> int:
    """Count the taps, from the finest on, that a candidate has with all they are computed from."""
    try:
        graph = read_graph(candidate.symbol(), measured.data_shape)
    except TapError:  # the candidate does not accept this size
        return 0
    has = graph.parameters()
    for count, node in enumerate(measured.features[:measured.taps]):
        if graph.find(names.get(node.name, node.name)) is None:
            return count
        needs = measured.graph.parameters(measured.graph.upstream([node.name]))
        if any(has.get(names.get(name, name)) != shape for name, shape in needs.items()):
            return count
    return measured.taps
