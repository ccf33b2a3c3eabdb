"""MXNet as the engine that runs detectors."""

from __future__ import annotations

from ssdreg_runtime.backends import AUTO
from ssdreg_runtime.backends.facts import PRECISIONS
from ssdreg_runtime.backends.precisions import NO_BFLOAT16
from ssdreg_runtime.system.processor import has_wide_bfloat16, has_wide_vectors

from ssdreg.deploy.devices import context
from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import MXNetBackend, facts_of
from ssdreg.errors import ModelError
from ssdreg.registry.device import CPU, Device


def open_mxnet(model: DeployModel, device: Device, threads: int | None,
               precision: str) -> MXNetBackend:
    """Return a detector bound by MXNet; see `ssdreg.registry.engine.Engine`."""
    return MXNetBackend(_in_precision(model, precision), threads=threads,
                        # MXNet, once imported, takes no other number of threads
                        context=None if device.kind == CPU else context(device))


def _in_precision(model: DeployModel, precision: str) -> DeployModel:
    """Return a model that MXNet computes in this precision."""
    stored = facts_of(model).precision
    if precision in (AUTO, stored):
        if stored == "bfloat16" and not has_wide_vectors():
            raise ModelError(f"{model.name} holds bfloat16, which MXNet computes on processors "
                             f"with AVX-512 only: give the run that it was made from")
        return model
    if precision not in PRECISIONS:
        raise ModelError(f"there is no precision {precision!r}: choose one of "
                         f"{', '.join((AUTO, *PRECISIONS))}")
    if precision != "bfloat16" or stored != "float32":
        raise ModelError(f"{model.name} is computed in {stored} by MXNet, not in {precision}: "
                         f"give a run that is; `ssdreg quantize RUN --backend mxnet` makes int8")
    if not has_wide_bfloat16():
        raise ModelError(f"{model.name}: {NO_BFLOAT16}")
    from ssdreg.quantization import bfloat16_mxnet
    return bfloat16_mxnet(model)
