"""PyTorch's devices, and what each computes in."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ssdreg_runtime.backends import AUTO
from ssdreg_runtime.system import caches
from ssdreg_runtime.system.processor import multiplies_bfloat16

from ssdreg.errors import ModelError
from ssdreg.registry.device import CPU, CUDA, Device, named

if TYPE_CHECKING:
    import torch

def unmet(devices: Sequence[Device]) -> str:
    """Return why PyTorch cannot compute on these devices here; empty where it can."""
    if find_spec("torch") is None:
        return "needs the package torch, which is not installed: run `pip install torch`"
    _prepare()
    import torch
    kind, names = devices[0].kind, named(tuple(devices))
    if kind == CPU:
        return ""
    if kind == CUDA:
        count = torch.cuda.device_count()
        if max(device.index for device in devices) < count:
            return ""
        build = "" if torch.version.cuda else f"; {torch.__version__} is a build without CUDA"
        return f"cannot compute on {names}: PyTorch sees {count} GPUs here{build}"
    return "" if torch.backends.mps.is_available() else (
        f"cannot compute on {names}: PyTorch sees no such device here")


#: Settings that are read when PyTorch is imported; those that a user made are left alone.
_SETTINGS = {
    # Threads that wait for others spin for some microseconds and then sleep: those that decode the
    # next images share the processor, and where the others spin for long, a step takes ten times
    # as long.
    "GOMP_SPINCOUNT": "20000",
    # Activations lie in pages of 2 MiB, where the system has them. The kernel else clears
    # thousands of small ones anew in every step, which is a fifth of its time.
    "THP_MEM_ALLOC_ENABLE": "1",
    # what is compiled is kept; newer versions do that unasked
    "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
#: Where compiled code is kept: in a folder of ssdreg's cache, else PyTorch's own temporary one.
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"


def _prepare() -> None:
    """Make the settings, unless PyTorch is there already."""
    if "torch" in sys.modules:
        return
    for name, value in _SETTINGS.items():
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)
    folder = caches.cache("torch").preferred
    if not os.environ.get(_COMPILED) and folder and not caches.is_unwritable(folder):
        os.environ[_COMPILED] = str(folder)


def torch_device(device: Device) -> torch.device:
    """Return a device as PyTorch names it."""
    import torch
    return torch.device(str(device))


def precisions(device: Device) -> tuple[str, ...]:
    """Return what PyTorch trains in on a device, the fastest first.

    That is bfloat16 where the processor or GPU multiplies it, and else float16 on a GPU.
    """
    import torch
    if device.kind == CPU:
        return ("bfloat16", "float32") if multiplies_bfloat16() else ("float32", "bfloat16")
    if device.kind != CUDA:
        return ("float32",)
    # emulated on older GPUs, where it is slower than float32
    return (("bfloat16", "float16", "float32")
            if torch.cuda.is_bf16_supported(including_emulation=False) else ("float16", "float32"))


def running_precision(wanted: str, name: str) -> str:
    """Return what a detector is run in: float32 unless bfloat16 or float16 is asked for.

    Raises ModelError, which names the detector, for any other.
    """
    if wanted == AUTO:
        return "float32"
    if wanted not in ("float32", "bfloat16", "float16"):
        raise ModelError(f"{name} is computed in float32, bfloat16 or float16 by PyTorch, not in "
                         f"{wanted}")
    return wanted
