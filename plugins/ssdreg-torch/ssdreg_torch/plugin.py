"""What this plug-in brings: PyTorch as an engine."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.registry.engine import Engine
from ssdreg.registry.hookspecs import hookimpl

ssdreg_hooks = ">=1.2,<2"


@hookimpl
def ssdreg_engines() -> Iterator[Engine]:
    """Yield PyTorch."""
    yield Engine(name="torch", aliases=("pytorch",), summary="PyTorch, on processors and GPUs",
                 unmet="ssdreg_torch.devices:unmet",
                 precisions="ssdreg_torch.devices:precisions",
                 learner="ssdreg_torch.learner:TorchLearner",
                 backend="ssdreg_torch.backend:open_torch",
                 export="ssdreg_torch.export:write",
                 detect_exported="ssdreg_torch.export.running:detect",
                 compiles=True, wires=("float32", "bfloat16"),
                 join="ssdreg_torch.processes:TorchGroup")
