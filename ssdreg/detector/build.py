"""From a backbone's name to a detector: planned, verified and assembled, each step once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.detector import overrides as rules
from ssdreg.detector.built import BuiltBackbone, SizedBackbone
from ssdreg.detector.declaration import prove, tell_small, tell_unused
from ssdreg.detector.deriving import at_size, derive
from ssdreg.detector.overrides import (
    DERIVED,
    NMS_THRESHOLD,
    NMS_TOPK,
    VARIANCES,
    Overrides,
    Step,
)
from ssdreg.detector.plan import Plan
from ssdreg.errors import PlanError, PluginError, SsdregError
from ssdreg.graph.taps import Verification, verify_taps
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import DETECTION, TRAIN_OUTPUTS, Head, Predictions
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.names import get_head
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class Design:
    """A detector before it is assembled: its backbone, its head, and its plan."""

    sized: SizedBackbone
    head: Head = field(repr=False)
    plan: Plan

    def verify(self) -> Verification:
        """Verify the backbone's declaration and the plan's taps on the backbone's own symbol.

        Returns the verification of the plan's taps. Warns where a good part of the backbone stays
        unused, and where the finest level has next to no cells. Raises TapError when taps are not
        the ends of the backbone's stages.
        """
        sized, taps = self.sized, self.plan.taps
        verification = prove(sized)
        if verification.taps != taps:
            declared = {tap.node: tap for tap in sized.backbone.taps}
            verification = verify_taps(sized.graph, [declared.get(node, node) for node in taps])
        tell_unused(sized, verification)
        tell_small(self.plan)
        return verification

    def symbol(self, mode: str) -> mx.sym.Symbol:
        """Assemble the detector; see :func:`build` for the modes."""
        return assemble(self.sized.symbol, self.plan, mode, self.head)


def design(backbone: str | Backbone | BuiltBackbone, num_classes: int = 20,
           data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd",
           overrides: Overrides = DERIVED) -> Design:
    """Plan a detector, not verified yet. Arguments and errors are those of :func:`plan`."""
    shape = rules.as_shape(data_shape)
    rules.check_classes(num_classes)
    if not isinstance(head, (str, Head)):
        rules.check("head", head, rules.NAMES["head"])
    if not isinstance(backbone, (str, Backbone, BuiltBackbone)):
        rules.check("backbone", backbone, rules.NAMES["backbone"])
    head = get_head(head)
    built = backbone if isinstance(backbone, BuiltBackbone) else BuiltBackbone.of(backbone)
    sized = at_size(built, shape, head, overrides)
    return Design(sized, head, derive(sized, num_classes, head, overrides))


def plan(backbone: str | Backbone, num_classes: int = 20,
         data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd", *,
         tap_strides: Sequence[int] | None = None, from_layers: Sequence[str] | None = None,
         num_filters: Sequence[int] | None = None, strides: Sequence[int] | None = None,
         pads: Sequence[int] | None = None, sizes: str | Sequence[Sequence[float]] | None = None,
         ratios: Sequence[Sequence[float]] | None = None,
         normalizations: Sequence[float] | None = None,
         projections: Sequence[int] | None = None, steps: Sequence[Step] | None = None,
         variances: Sequence[float] = VARIANCES, nms_threshold: float = NMS_THRESHOLD,
         nms_topk: int = NMS_TOPK, force_suppress: bool = False, loss: str | None = None,
         box_loss: str | None = None, preprocessing: Preprocessing | None = None) -> Plan:
    """Derive the plan of a detector from a backbone's taps and an input shape.

    `num_classes` leaves the background out; `data_shape` is a side in pixels or (height, width).
    `tap_strides` picks, by stride, the taps that feed detection; `sizes` may be the name of a
    scheme (``example``, ``paper``, or ``head`` for the head's own, the default, which is
    ``example`` for SSD). `from_layers` also sets the number of levels; taps named there are not
    verified here, but by `build`. The others are the fields of :class:`ssdreg.Plan`: those with an
    entry per level, from `num_filters` to `steps`, and those for all levels. What is None follows
    the head's `defaults` and the backbone.

    Raises PlanError, which names the level, when the shape is too small or an override cannot be.
    """
    return design(backbone, num_classes, data_shape, head, Overrides(
        tap_strides=tap_strides, from_layers=from_layers, num_filters=num_filters,
        strides=strides, pads=pads, sizes=sizes, ratios=ratios, normalizations=normalizations,
        projections=projections, steps=steps, variances=variances, nms_threshold=nms_threshold,
        nms_topk=nms_topk, force_suppress=force_suppress, loss=loss, box_loss=box_loss,
        preprocessing=preprocessing)).plan


def build(backbone: str | Backbone, num_classes: int = 20,
          data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd",
          mode: str = "train", *,
          tap_strides: Sequence[int] | None = None, from_layers: Sequence[str] | None = None,
          num_filters: Sequence[int] | None = None, strides: Sequence[int] | None = None,
          pads: Sequence[int] | None = None, sizes: str | Sequence[Sequence[float]] | None = None,
          ratios: Sequence[Sequence[float]] | None = None,
          normalizations: Sequence[float] | None = None,
          projections: Sequence[int] | None = None, steps: Sequence[Step] | None = None,
          variances: Sequence[float] = VARIANCES, nms_threshold: float = NMS_THRESHOLD,
          nms_topk: int = NMS_TOPK, force_suppress: bool = False, loss: str | None = None,
          box_loss: str | None = None, preprocessing: Preprocessing | None = None) -> mx.sym.Symbol:
    """Build a detector's symbol. Arguments are those of :func:`ssdreg.plan`, and `mode`.

    - ``train``: inputs ``data`` (B, 3, H, W) and ``label`` (B, M, 5 or more: class, x1, y1, x2,
      y2 in 0..1, padded with -1); outputs ``cls_prob`` (B, C + 1, N), ``loc_loss`` (B, N * 4),
      ``cls_label`` (B, N) and ``det_out`` (B, N, 6).
    - ``deploy``: input ``data``; output ``detection`` (B, N, 6): class, score, x1, y1, x2, y2.

    All are float32. The same call gives the same symbol, whatever was built before. Raises
    TapError when the taps are not the ends of the backbone's stages, and what `plan` raises.
    """
    detector = design(backbone, num_classes, data_shape, head, Overrides(
        tap_strides=tap_strides, from_layers=from_layers, num_filters=num_filters,
        strides=strides, pads=pads, sizes=sizes, ratios=ratios, normalizations=normalizations,
        projections=projections, steps=steps, variances=variances, nms_threshold=nms_threshold,
        nms_topk=nms_topk, force_suppress=force_suppress, loss=loss, box_loss=box_loss,
        preprocessing=preprocessing))
    detector.verify()
    return detector.symbol(mode)


def assemble(symbol: mx.sym.Symbol, plan: Plan, mode: str = "train",
             head: str | Head | None = None) -> mx.sym.Symbol:
    """Put a plan's head on a backbone's symbol, without verifying the taps; see :func:`build`.

    `head` is the plan's own when None.
    """
    if mode not in MODES:
        raise PlanError(f"mode={mode!r}: there are {', '.join(MODES)}")
    chosen_head = get_head(head or plan.head)
    with _head_names():
        predictions = _ask(chosen_head, "predict", symbol, plan)
        if not isinstance(predictions, Predictions):
            raise PluginError(f"the head {chosen_head.name!r} cannot be used: its predict gives "
                              f"{type(predictions).__name__}, and not ssdreg.Predictions")
        return MODES[mode](chosen_head, predictions, plan)


def _ask(head: Head, step: str, *arguments: Any) -> Any:
    """Take one of a head's steps; raise PluginError, with the cause chained, when it fails."""
    try:
        return resolve(getattr(head, step))(*arguments)
    except SsdregError:
        raise
    except Exception as error:  # a plug-in's module may raise any exception
        raise PluginError(f"the head {head.name!r} cannot be used: its {step} raised "
                          f"{type(error).__name__}: {error}") from error


def _outputs(head: Head, step: str, *arguments: Any) -> tuple[mx.sym.Symbol, list[str]]:
    """Take a step that makes a symbol, and return that with the names of its outputs."""
    from ssdreg.mx import mx
    symbol = _ask(head, step, *arguments)
    if not isinstance(symbol, mx.sym.Symbol):
        raise PluginError(f"the head {head.name!r} cannot be used: its {step} gives "
                          f"{type(symbol).__name__}, and not an mx.sym.Symbol")
    return symbol, symbol.list_outputs()


def _head_names() -> mx.name.NameManager:
    """Return a name manager whose automatic names differ from all of a backbone's.

    Both are numbered from 0: a sum in a loss would be called ``_plus0``, as the first one in a
    ResNet is, and a convolution without a name would share the weights of the backbone's first.
    """
    from ssdreg.mx import mx

    class HeadNames(mx.name.NameManager):
        def get(self, name: str | None, hint: str) -> str:
            return name or f"head_{super().get(None, hint)}"

    return HeadNames()


def _train(head: Head, predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    symbol, outputs = _outputs(head, "train", predictions, mx.sym.Variable("label"), plan)
    missing = [name for name in TRAIN_OUTPUTS if name not in outputs]
    if missing:
        raise PlanError(f"the head {head.name!r} cannot be trained: its train gives "
                        f"{', '.join(outputs)}, and not {', '.join(missing)}; see "
                        f"ssdreg.Head for what it must give")
    return symbol


def _deploy(head: Head, predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    symbol, outputs = _outputs(head, "detect", predictions, plan)
    if outputs != [DETECTION]:
        raise PlanError(f"the head {head.name!r} cannot detect: its detect gives "
                        f"{', '.join(outputs)}, and not {DETECTION} alone; see "
                        f"ssdreg.Head for what it must give")
    return symbol


MODES: dict[str, Callable[[Head, Predictions, Plan], mx.sym.Symbol]] = {
    "train": _train, "deploy": _deploy}
