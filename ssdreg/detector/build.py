"""One symbol from a backbone's name: planned, verified, assembled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ssdreg.detector.declaration import prove_backbone, tell_small, tell_unused
from ssdreg.detector.plan import Plan, plan
from ssdreg.errors import PlanError, PluginError, SsdregError
from ssdreg.graph.finding import complete
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.taps import verify_taps
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import DETECTION, TRAIN_OUTPUTS, Head, Predictions
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.names import get_backbone, get_head

if TYPE_CHECKING:
    from ssdreg.mx import mx


def build(backbone: str | Backbone, num_classes: int = 20,
          data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd",
          mode: str = "train", **overrides: Any) -> mx.sym.Symbol:
    """Build a detector's symbol. Arguments are those of :func:`ssdreg.plan`, and `mode`.

    - ``train``: inputs ``data`` (B, 3, H, W) and ``label`` (B, M, 5 or more: class, x1, y1, x2,
      y2 in 0..1, padded with -1); outputs ``cls_prob`` (B, C + 1, N), ``loc_loss`` (B, N * 4),
      ``cls_label`` (B, N) and ``det_out`` (B, N, 6).
    - ``deploy``: input ``data``; output ``detection`` (B, N, 6): class, score, x1, y1, x2, y2.

    All are float32. The same call gives the same symbol, whatever was built before. Raises
    TapError when the taps are not the ends of the backbone's stages, and what `plan` raises.
    """
    source = complete(get_backbone(backbone))
    made = plan(source, num_classes, data_shape, head, **overrides)
    return assemble(verify_plan(source, made), made, mode, head)


def verify_plan(source: Backbone, plan: Plan) -> mx.sym.Symbol:
    """Verify a backbone's declaration and a plan's taps on its own symbol, and return that.

    See :func:`build`. What leaves a good part of the backbone unused, or the finest level
    without cells, is warned of.
    """
    symbol = source.symbol()
    graph = read_graph(symbol, plan.data_shape)
    prove_backbone(graph, source, plan.data_shape)
    declared = {tap.node: tap for tap in source.taps}
    chosen = verify_taps(graph, [declared.get(node, node) for node in plan.taps])
    tell_unused(source, chosen, plan.data_shape)
    tell_small(plan)
    return symbol


def assemble(symbol: mx.sym.Symbol, plan: Plan, mode: str = "train",
             head: str | Head | None = None) -> mx.sym.Symbol:
    """Put a plan's head on a backbone's symbol, without verifying the taps; see :func:`build`.

    `head` is the plan's own when None.
    """
    if mode not in MODES:
        raise PlanError(f"mode={mode!r}: there are {', '.join(MODES)}")
    made = get_head(head or plan.head)
    with _head_names():
        predictions = _ask(made, "predict", symbol, plan)
        if not isinstance(predictions, Predictions):
            raise PluginError(f"the head {made.name!r} cannot be used: its predict gives "
                              f"{type(predictions).__name__}, and not ssdreg.Predictions")
        return MODES[mode](made, predictions, plan)


def _ask(head: Head, step: str, *arguments: Any) -> Any:
    """Take one of a head's steps; raise PluginError, with the cause chained, when it fails."""
    try:
        return resolve(getattr(head, step))(*arguments)
    except SsdregError:
        raise
    except Exception as error:  # a stranger's module may raise anything
        raise PluginError(f"the head {head.name!r} cannot be used: its {step} raised "
                          f"{type(error).__name__}: {error}") from error


def _outputs(head: Head, step: str, *arguments: Any) -> tuple[mx.sym.Symbol, list[str]]:
    """Take a step that makes a symbol, and return that with the names of its outputs."""
    from ssdreg.mx import mx
    made = _ask(head, step, *arguments)
    if not isinstance(made, mx.sym.Symbol):
        raise PluginError(f"the head {head.name!r} cannot be used: its {step} gives "
                          f"{type(made).__name__}, and not an mx.sym.Symbol")
    return made, made.list_outputs()


def _head_names() -> mx.name.NameManager:
    """Return a manager whose automatic names are none of a backbone's.

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
    made, outputs = _outputs(head, "train", predictions, mx.sym.Variable("label"), plan)
    missing = [name for name in TRAIN_OUTPUTS if name not in outputs]
    if missing:
        raise PlanError(f"the head {head.name!r} cannot be trained: its train gives "
                        f"{', '.join(outputs)}, and not {', '.join(missing)}; see "
                        f"ssdreg.Head for what it must give")
    return made


def _deploy(head: Head, predictions: Predictions, plan: Plan) -> mx.sym.Symbol:
    made, outputs = _outputs(head, "detect", predictions, plan)
    if outputs != [DETECTION]:
        raise PlanError(f"the head {head.name!r} cannot detect: its detect gives "
                        f"{', '.join(outputs)}, and not {DETECTION} alone; see "
                        f"ssdreg.Head for what it must give")
    return made


MODES: dict[str, Callable[[Head, Predictions, Plan], mx.sym.Symbol]] = {
    "train": _train, "deploy": _deploy}
