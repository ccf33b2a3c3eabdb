"""Boxes as corners (..., 4): x1, y1, x2, y2."""

from __future__ import annotations

import torch
from torch import Tensor


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU of boxes that broadcast against each other, 0 where none has an area."""
    sides = (torch.minimum(first[..., 2:], second[..., 2:])
             - torch.maximum(first[..., :2], second[..., :2])).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    union = area(first) + area(second) - shared
    return torch.where(union > 0, shared / union, 0.0)


def area(boxes: Tensor) -> Tensor:
    """Return the areas of boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
