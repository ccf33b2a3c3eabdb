"""PyTorch is large: where it is not installed, what needs it is skipped and says so."""

from __future__ import annotations

import importlib.util

HAS_TORCH = importlib.util.find_spec("torch") is not None
if HAS_TORCH:
    import torch
    # beside MXNet's threads, and other processes of the tests
    torch.set_num_threads(1)
