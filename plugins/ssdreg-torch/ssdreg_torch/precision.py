"""The precision that sums and losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(data: Tensor) -> Tensor:
    """Return float32 for what is narrower, as autocast makes it, and else the same."""
    return data if data.dtype == torch.float64 else data.float()
