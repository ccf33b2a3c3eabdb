"""The smallest detector that can be built on a backbone, so that its examination is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.detector.build import Design, design
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.plan import Plan
from ssdreg.errors import ConformanceError, InputShapeError, PlanError
from ssdreg.registry.head import Head

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Input sizes (height, width) to try, none of them square, so that a mix-up of the two shows.
SIZES = ((64, 96), (96, 128), (128, 160), (160, 192), (224, 256), (320, 352), (512, 544))
CLASSES = 3


@frozen(eq=False)
class SmallDetector:
    """A detector's training and deploy symbols, and the part of its backbone that it uses.

    `backbone` is the backbone's own symbol, `taps` are the declared ones that the detector
    computes, and `behind` the backbone's parameters that are not upstream of its taps.
    """

    plan: Plan
    backbone: mx.sym.Symbol
    train: mx.sym.Symbol
    deploy: mx.sym.Symbol
    taps: tuple[str, ...]
    behind: frozenset[str]

    def maps(self) -> list[mx.sym.Symbol]:
        """Return the symbols of the taps' maps; they are the detector's own nodes."""
        internals = self.backbone.get_internals()
        return [internals[f"{node}_output"] for node in self.taps]


def smallest_detector(built: BuiltBackbone, head: str | Head = "ssd") -> SmallDetector:
    """Return a detector of a backbone and a head at the first usable size.

    The sizes are `SIZES`. Raises ConformanceError when none can be planned.
    """
    smallest = _smallest_design(built, head)
    graph, taps = smallest.sized.graph, smallest.sized.backbone.taps
    upstream = graph.upstream(smallest.plan.taps)
    return SmallDetector(
        smallest.plan, built.symbol, smallest.symbol("train"), smallest.symbol("deploy"),
        taps=tuple(tap.node for tap in taps if graph.upstream([tap.node]) <= upstream),
        behind=frozenset(node.name for node in graph.nodes
                         if node.is_variable and node.index not in upstream))


def _smallest_design(built: BuiltBackbone, head: str | Head) -> Design:
    for size in SIZES:
        try:
            return design(built, CLASSES, size, head)
        except (PlanError, InputShapeError) as error:
            reason = error
    raise ConformanceError(f"no detector can be planned from {SIZES[0][0]}x{SIZES[0][1]} to "
                           f"{SIZES[-1][0]}x{SIZES[-1][1]} pixels: {reason}")
