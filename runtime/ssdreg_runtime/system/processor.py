"""The instructions of this computer's processor for bfloat16 and int8."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

#: Flags of x86 and ARM processors that multiply bfloat16.
BFLOAT16 = frozenset({"avx512_bf16", "avx_ne_convert", "amx_bf16", "bf16"})

#: Flags of processors that accumulate products of 8 bits in 32 bits, not in 16 bits between.
INT8 = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm"})

_CPUINFO = Path("/proc/cpuinfo")


def flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the processor's feature flags as Linux lists them; empty on other systems."""
    if not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


@lru_cache(maxsize=1)
def _processor_flags() -> frozenset[str]:
    return flags()


def multiplies_bfloat16() -> bool:
    """Tell whether this processor multiplies bfloat16 itself: AVX-512 BF16, AMX, or ARM's."""
    return bool(_processor_flags() & BFLOAT16)


def multiplies_int8() -> bool:
    """Tell whether this processor accumulates products of 8 bits without saturating at 16 bits.

    Assumed on ARM, whose kernels do so without an instruction of their own.
    """
    return bool(_processor_flags() & INT8) or platform.machine().lower() in ("arm64", "aarch64")


def has_wide_vectors() -> bool:
    """Tell whether this processor computes with vectors of 16 float32: AVX-512."""
    return "avx512f" in _processor_flags()


def has_wide_bfloat16() -> bool:
    """Tell whether it multiplies such vectors of bfloat16, which oneDNN of 2021 needs."""
    return "avx512_bf16" in _processor_flags()
