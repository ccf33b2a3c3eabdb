"""Detecting by a module of a deploy symbol."""

from __future__ import annotations

import numpy as np
import torch

from ssdreg_torch.module import SymbolModule, placed_tensor


def detect(module: SymbolModule, images: np.ndarray) -> np.ndarray:
    """Return the detections (B, N, 6) of images (B, 3, H, W), both float32, on its device."""
    device = next(module.parameters()).device
    batch = placed_tensor(torch.from_numpy(images), device)
    with torch.inference_mode():
        (detections,), _ = module(data=batch)
    return np.asarray(detections.float().cpu().numpy())
