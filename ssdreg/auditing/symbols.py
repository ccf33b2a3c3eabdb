"""Audit of layer names against a backbone's symbol file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg.auditing.audited import Audit, judge
from ssdreg.auditing.counting import COUNTED, with_sizes
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.overrides import DERIVED
from ssdreg.errors import AuditError, RunError
from ssdreg.graph.stages import stage_ends
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.symbol_file import read_symbol
from ssdreg.registry.backbone import Backbone, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The feature levels of MXNet's SSD example: its taps, and as many behind them as it takes.
LEVELS = 6


def audit_symbol(file: Path, layers: Sequence[str], data_shape: tuple[int, int],
                 num_classes: int = 20) -> Audit:
    """Audit the `layers` that a detector taps from the backbone whose symbol is in `file`.

    `data_shape` is (height, width). The file may be of any MXNet version. Parameters are counted
    for an SSD of six levels. Raises AuditError when the file is no symbol or holds a whole
    detector, TapError and InputShapeError as :func:`ssdreg.verify` does.
    """
    if not layers:
        raise AuditError(f"{file} is a symbol: say which layers the detector taps, as in "
                         f"`--layers FIRST,SECOND`")
    symbol = _load(file)
    judged = judge(file.name, file.stem.removesuffix("-symbol"), symbol, layers, data_shape)
    source = _backbone(judged.network, symbol, data_shape)
    counted = with_sizes(judged, BuiltBackbone.of(source), max(LEVELS, len(layers)), DERIVED,
                         num_classes)
    return Audit((counted,), COUNTED.format(classes=num_classes))


def _load(file: Path) -> mx.sym.Symbol:
    try:
        symbol = read_symbol(file)
    except RunError as error:
        raise AuditError(str(error)) from error
    if any("multibox" in name.lower() for name in symbol.get_internals().list_outputs()):
        raise AuditError(f"{file} is a whole detector: what its backbone has behind the taps was "
                         f"cut away; give the classification network's own symbol")
    return symbol


def _backbone(name: str, symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> Backbone:
    """Make a backbone of a symbol, its stages named by the graph."""
    ends = stage_ends(read_graph(symbol, data_shape))
    if not ends:
        raise AuditError(f"{name} has no stages at {data_shape[0]}x{data_shape[1]}: no "
                         f"convolution before the picture is pooled away")
    taps = {end.stride: Tap(stage, end.stride, end.channels, end.node)
            for stage, end in enumerate(ends)}
    return Backbone(name=name, family=name, depth=1, build=lambda: symbol,
                    taps=[taps[stride] for stride in sorted(taps)], tap_strides=(max(taps),),
                    paper="unknown")
