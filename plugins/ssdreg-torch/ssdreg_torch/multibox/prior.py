"""Anchors of one feature level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def place_anchors(feature: Tensor, sizes: Sequence[float], ratios: Sequence[float],
                  steps: Sequence[float], offsets: Sequence[float]) -> Tensor:
    """Place anchors on a feature (B, K, h, w): (1, h * w * A, 4) float32, corners as shares.

    A is ``len(sizes) + len(ratios) - 1``: every size at the first ratio, then the first size at
    every further ratio; cell by cell, rows first. Each number is rounded to float32 where MXNet
    does.
    """
    height, width = feature.shape[2:]
    down, across = (np.float32(step if step > 0 else 1 / side)
                    for step, side in zip(steps, (height, width)))
    halves = torch.from_numpy(_halves(height, width, sizes, ratios)).to(feature.device)
    y = (torch.arange(height, dtype=torch.float32) + offsets[0]) * float(down)
    x = (torch.arange(width, dtype=torch.float32) + offsets[1]) * float(across)
    y, x = torch.meshgrid(y.to(feature.device), x.to(feature.device), indexing="ij")
    centers = torch.stack((x, y), -1)[:, :, None]
    return torch.cat((centers - halves, centers + halves), -1).reshape(1, -1, 4)


def _halves(height: int, width: int, sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Return half the width and height of a cell's anchors, (A, 2) float32."""
    single = np.float32
    roots = [np.sqrt(single(ratio)) for ratio in ratios]
    shapes = [(single(size), roots[0]) for size in sizes]
    shapes += [(single(sizes[0]), root) for root in roots[1:]]
    return np.array([(size * single(height) / single(width) * root / single(2),
                      size / root / single(2)) for size, root in shapes], single)
