"""The parameters that have to change in a training step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import BATCH_NORM
from ssdreg.registry.head import Head
from ssdreg.testing.one_step import batch_norms
from ssdreg.testing.small import SmallDetector
from ssdreg.training.freezing import backbone_parameters

if TYPE_CHECKING:
    from ssdreg.mx import mx


def unexpectedly_still(detector: SmallDetector, still: Iterable[str], head: Head | None
                       ) -> list[str]:
    """Return the names in `still` of parameters that should have changed.

    Of a backbone, all parameters upstream of the detector's taps should change; of a head, all.
    Three kinds may stay the same:

    - the scale of a normalisation that is declared fixed: it is 1 whatever the parameter holds;
    - a bias right in front of a batch normalisation, which subtracts the mean: its gradient is
      zero but for rounding;
    - a constant, declared with a learning rate of zero.
    """
    expected = (backbone_parameters(detector.train, detector.plan) if head is None
                else set(detector.train.list_arguments()))
    excused = {*_fixed_scales(detector.train), *_idle_biases(detector.train),
               *_constants(detector.train)}
    return [name for name in still if name in expected and name not in excused]


def _fixed_scales(symbol: mx.sym.Symbol) -> set[str]:
    return {norm.inputs[1] for norm in batch_norms(symbol) if norm.fixed_scale}


def _idle_biases(symbol: mx.sym.Symbol) -> set[str]:
    """Return the biases of layers that nothing but batch normalisations reads."""
    net = Net.of(symbol)
    normalized = {norm.inputs[0] for norm in batch_norms(symbol) if not norm.global_stats}
    read_elsewhere = {net.name(source) for node in net.nodes if node.op != BATCH_NORM
                      for source in node.sources}
    return {net.name(net.inputs(index)[2][0]) for index in net.find("Convolution", "FullyConnected")
            if len(net.inputs(index)) == 3 and net.name(index) in normalized - read_elsewhere}


def _constants(symbol: mx.sym.Symbol) -> set[str]:
    return {name for name, attributes in symbol.attr_dict().items()
            if float(attributes.get("__lr_mult__", 1)) == 0}
