"""Types of numbers: by MXNet's names, and the one that sums and losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor

#: Types of floating-point numbers by the names that MXNet has for them.
DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64,
          "bfloat16": torch.bfloat16}


def computing_in(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which modules compute in a precision, named as MXNet does."""
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32")


def wide(data: Tensor) -> Tensor:
    """Return float32 for what is narrower, as autocast makes it, and else the same."""
    return data if data.dtype == torch.float64 else data.float()
