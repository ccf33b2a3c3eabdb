"""MXNet's devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ssdreg_runtime.system.processor import has_wide_bfloat16

from ssdreg.registry.device import CPU, CUDA, Device, named

if TYPE_CHECKING:
    from ssdreg.mx import mx


def unmet(devices: Sequence[Device]) -> str:
    """Return why MXNet cannot compute on these devices here; empty where it can."""
    kind = devices[0].kind
    if kind == CPU:
        return ""
    if kind != CUDA:
        return f"knows no device {kind}: leave --device out"
    from ssdreg.mx import mx
    count = mx.context.num_gpus()
    if max(device.index for device in devices) < count:
        return ""
    return (f"cannot compute on {named(tuple(devices))}: it sees {count} GPUs here, and MXNet's "
            f"wheel for processors sees none")


def precisions(device: Device) -> tuple[str, ...]:
    """Return what MXNet trains in on a device, the fastest first.

    bfloat16 only where the processor has AVX-512 for it: oneDNN imitates it elsewhere, slowly.
    """
    if device.kind == CPU and has_wide_bfloat16():
        return ("bfloat16", "float32")
    return ("float32",)


def context(device: Device) -> mx.Context:
    """Return a device as MXNet names it."""
    from ssdreg.mx import mx
    return mx.cpu(device.index) if device.kind == CPU else mx.gpu(device.index)
