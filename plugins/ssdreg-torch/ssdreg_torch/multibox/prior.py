"""Anchors of one feature level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def place_anchors(feature: Tensor, sizes: Sequence[float], ratios: Sequence[float],
                  steps: Sequence[float] = (-1.0, -1.0), offsets: Sequence[float] = (0.5, 0.5)
                  ) -> Tensor:
    """Place anchors on a feature (B, K, h, w): (1, h * w * A, 4) float32, corners as shares.

    A is ``len(sizes) + len(ratios) - 1``: every size at the first ratio, then the first size at
    every further ratio; cell by cell, rows first. `sizes` are shares of the image's height,
    `ratios` width / height in cells; `steps` the distance of centres down and across as shares of
    the image, -1 for one cell, and `offsets` where in a step a centre lies. Each number is rounded
    to float32 where MXNet does.
    """
    height, width = feature.shape[2:]
    down, across = (step if step > 0 else 1 / side for step, side in zip(steps, (height, width)))
    halves = _halves(feature, sizes, ratios)
    y = (torch.arange(height, device=feature.device).float() + offsets[0]) * down
    x = (torch.arange(width, device=feature.device).float() + offsets[1]) * across
    y, x = torch.meshgrid(y, x, indexing="ij")
    centers = torch.stack((x, y), -1)[:, :, None]
    return torch.cat((centers - halves, centers + halves), -1).reshape(1, -1, 4)


def _halves(feature: Tensor, sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Return half the width and height of a cell's anchors, (A, 2) float32."""
    height, width = feature.shape[2:]
    size, ratio = torch.tensor([(size, ratios[0]) for size in sizes]
                               + [(sizes[0], ratio) for ratio in ratios[1:]],
                               dtype=torch.float32, device=feature.device).unbind(1)
    root = torch.sqrt(ratio)
    return torch.stack((size * height / width * root / 2, size / root / 2), 1)
