"""PyTorch is large: where it is not installed, what needs it is skipped and says so.

`tiny_training` and `in_processes`, which several tests train by, are imported from this folder.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

HAS_TORCH = importlib.util.find_spec("torch") is not None
if HAS_TORCH:
    import torch
    # beside MXNet's threads, and other processes of the tests
    torch.set_num_threads(1)
