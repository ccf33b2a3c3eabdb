"""The parts of a network that do not learn: named parameters, whole stages, batch normalisation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.detector.plan import Plan
from ssdreg.errors import RunError
from ssdreg.graph.nodes import VARIABLE, Net
from ssdreg.graph.operators import BATCH_NORM
from ssdreg.graph.taps import find_taps
from ssdreg.training.options import TrainOptions

if TYPE_CHECKING:
    from ssdreg.mx import mx

INPUTS = ("data", "label")


@frozen
class Fixed:
    """The `parameters` that stay as they start, and the batch normalisations that use their
    running moments in training too, so that these stay as well."""

    parameters: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()


def fixed(symbol: mx.sym.Symbol, plan: Plan, options: TrainOptions) -> Fixed:
    """Work out what `options` freeze of a training symbol.

    A frozen stage is everything up to its end. Raises RunError when a stage is asked for that
    the backbone does not have, or when nothing, or everything, is frozen by name.
    """
    parameters = dict.fromkeys(_matching(symbol, options.freeze))
    norms: dict[str, None] = {}
    if options.freeze_stages:
        part = _up_to(symbol, [_stage_end(symbol, plan, options.freeze_stages)])
        parameters.update(dict.fromkeys(_parameters(part)))
        norms.update(dict.fromkeys(_norms(part)))
    if options.freeze_norm:
        part = _up_to(symbol, plan.taps)
        frozen_norms = _norms(part)
        norms.update(dict.fromkeys(frozen_norms))
        parameters.update(dict.fromkeys(name for norm in frozen_norms.values() for name in norm))
    return Fixed(tuple(parameters), tuple(norms))


def backbone_parameters(symbol: mx.sym.Symbol, plan: Plan) -> set[str]:
    """Return the names of the parameters that the plan's taps are computed from."""
    return set(_parameters(_up_to(symbol, plan.taps)))


def is_normalized(symbol: mx.sym.Symbol, plan: Plan) -> bool:
    """Tell whether the backbone has batch normalisation."""
    return bool(_norms(_up_to(symbol, plan.taps)))


def stages(symbol: mx.sym.Symbol, plan: Plan) -> int:
    """Return how many stages the backbone has up to its last tap, and can be frozen."""
    return len(find_taps(_up_to(symbol, plan.taps[-1:]), plan.data_shape))


def with_fixed_norms(symbol: mx.sym.Symbol, norms: Collection[str]) -> mx.sym.Symbol:
    """Return the same network, in which these normalisations use no batch statistics."""
    if not norms:
        return symbol
    net = Net.of(symbol)
    return net.replaced({index: net.nodes[index].with_attrs({"use_global_stats": "True"})
                         for index in net.find(BATCH_NORM) if net.name(index) in norms}).symbol()


def _matching(symbol: mx.sym.Symbol, pattern: str | None) -> list[str]:
    """Return the parameters whose names `pattern` matches from the start."""
    if pattern is None:
        return []
    names = _parameters(symbol)
    matching = [name for name in names if re.match(pattern, name)]
    if not matching or len(matching) == len(names):
        count = "none" if not matching else "every one"
        raise RunError(f"--freeze {pattern!r} matches {count} of the {len(names)} parameters, "
                       f"such as {', '.join(names[:3])} and {names[-1]}")
    return matching


def _stage_end(symbol: mx.sym.Symbol, plan: Plan, count: int) -> str:
    """Return the end of the `count`-th stage, found on the network up to its last tap.

    This works for a network that only its checkpoint describes, too.
    """
    taps = find_taps(_up_to(symbol, plan.taps[-1:]), plan.data_shape)
    if count > len(taps):
        raise RunError(f"--freeze-stages {count}: {plan.backbone} has {len(taps)} stages up to "
                       f"its last tap, at strides {', '.join(str(tap.stride) for tap in taps)}")
    return taps[count - 1].node


def _up_to(symbol: mx.sym.Symbol, nodes: Iterable[str]) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    internals = symbol.get_internals()
    return mx.sym.Group([internals[f"{node}_output"] for node in nodes])


def _parameters(symbol: mx.sym.Symbol) -> list[str]:
    return [name for name in symbol.list_arguments() if name not in INPUTS]


def _norms(symbol: mx.sym.Symbol) -> dict[str, tuple[str, ...]]:
    """Return the batch normalisations, each with its learnt parameters."""
    net, learnt = Net.of(symbol), set(_parameters(symbol))
    return {net.name(norm): tuple(net.name(source) for source in net.nodes[norm].sources
                                  if net.op(source) == VARIABLE and net.name(source) in learnt)
            for norm in net.find(BATCH_NORM)}
