"""The smallest detector that can be built on a backbone, so that examining it is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.detector.build import Design, design
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.plan import Plan
from ssdreg.errors import InputShapeError, PlanError
from ssdreg.registry.head import Head
from ssdreg.testing.verdict import ConformanceError

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Input sizes (height, width) to try, none of them square, so that a mix-up of the two shows.
SIZES = ((64, 96), (96, 128), (128, 160), (160, 192), (224, 256), (320, 352), (512, 544))
CLASSES = 3


@frozen(eq=False)
class SmallDetector:
    """A detector, to train and to deploy, and what of its backbone it needs.

    `backbone` is the backbone's own symbol, `taps` are the declared ones that the detector
    computes, and `behind` the parameters that do not lead to its taps.
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
    """Put a head on a backbone at the first of `SIZES` that will do.

    Raises ConformanceError when none will.
    """
    made = _design(built, head)
    graph, taps = made.sized.graph, made.sized.backbone.taps
    needed = graph.upstream(made.plan.taps)
    return SmallDetector(
        made.plan, built.symbol, made.symbol("train"), made.symbol("deploy"),
        taps=tuple(tap.node for tap in taps if graph.upstream([tap.node]) <= needed),
        behind=frozenset(node.name for node in graph.nodes
                         if node.op == "null" and node.index not in needed))


def _design(built: BuiltBackbone, head: str | Head) -> Design:
    for size in SIZES:
        try:
            return design(built, CLASSES, size, head)
        except (PlanError, InputShapeError) as error:
            reason = error
    raise ConformanceError(f"no detector can be planned from {SIZES[0][0]}x{SIZES[0][1]} to "
                           f"{SIZES[-1][0]}x{SIZES[-1][1]} pixels: {reason}")
