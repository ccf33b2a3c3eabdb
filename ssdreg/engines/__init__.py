"""What computes symbols: MXNet, a plug-in like any other, and the choice among all engines."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.registry.engine import Engine
from ssdreg.registry.hookspecs import hookimpl

#: The engine that is always there.
MXNET = "mxnet"


@hookimpl
def ssdreg_engines() -> Iterator[Engine]:
    """Yield MXNet, whose symbols these are."""
    yield Engine(name=MXNET, summary="MXNet 1.9.1, whose symbols these are",
                 unmet="ssdreg.deploy.devices:unmet",
                 precisions="ssdreg.deploy.devices:precisions",
                 learner="ssdreg.training.mxnet_learner:MXNetLearner", recomputes=True,
                 wires=("float32", "float16", "2bit"),
                 backend="ssdreg.inference.mxnet:open_mxnet",
                 join="ssdreg.training.mxnet_processes:MXNetGroup")
