"""What this computer's processor has for numbers of fewer bits."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

#: Flags of processors of Intel and AMD, and of ARM, that multiply bfloat16.
BFLOAT16 = frozenset({"avx512_bf16", "avx_ne_convert", "amx_bf16", "bf16"})

#: Flags of those that add products of 8 bits in 32 without a step of 16 bits between.
INT8 = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm"})

_CPUINFO = Path("/proc/cpuinfo")


def flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the names of what the processor has, as Linux lists them; empty elsewhere."""
    if not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


@lru_cache(maxsize=1)
def _here() -> frozenset[str]:
    return flags()


def multiplies_bfloat16() -> bool:
    """Tell whether this processor multiplies bfloat16 itself: AVX-512 BF16, AMX, or ARM's."""
    return bool(_here() & BFLOAT16)


def multiplies_int8() -> bool:
    """Tell whether this processor adds products of 8 bits without cutting sums off at 16 bits.

    Taken for granted on ARM, whose kernels do so without an instruction of their own.
    """
    return bool(_here() & INT8) or platform.machine().lower() in ("arm64", "aarch64")
