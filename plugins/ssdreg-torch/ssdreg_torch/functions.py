"""Functions of tensors that PyTorch has not, with nothing but PyTorch.

Operators compute by them, and an exported file has copies of those that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class FixedBatchNorm2d(nn.BatchNorm2d):
    """A batch normalisation that uses its running moments in training too."""

    def train(self, mode: bool = True) -> FixedBatchNorm2d:
        """Stay as in evaluation."""
        return super().train(False)


def unscaled(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Return a batch normalisation whose scale stays 1."""
    norm.weight.requires_grad_(False)
    return norm


def by_cell(data: Tensor) -> Tensor:
    """Return a map (B, K, h, w) cell by cell: (B, h * w * K)."""
    return data.permute(0, 2, 3, 1).flatten(1)


def l2_normalize(data: Tensor, axes: int | tuple[int, ...] = 1, eps: float = 1e-10) -> Tensor:
    """Return ``data / sqrt(sum(data ** 2) + eps)``, summed over some axes."""
    wide = data if data.dtype == torch.float64 else data.float()
    return data / torch.sqrt(wide.square().sum(axes, keepdim=True) + eps)


def resize(data: Tensor, sides: Sequence[int], corners: bool) -> Tensor:
    """Return a map of another height and width, bilinearly.

    Where a side becomes 1, and `corners` are not aligned, it is the first cell and not the middle.
    """
    for axis, side in zip((2, 3), () if corners else sides):
        if side == 1:
            data = data.narrow(axis, 0, 1)
    return functional.interpolate(data, tuple(sides), mode="bilinear", align_corners=corners)


def one_hot(data: Tensor, depth: int) -> Tensor:
    """Return a new last axis, 1 at the index; an index outside of it has a row of zeros."""
    places = torch.arange(depth, device=data.device)
    return (data.detach().unsqueeze(-1).trunc() == places).float()


def pick(data: Tensor, index: Tensor) -> Tensor:
    """Return one value of axis 1 by its index; an index beyond it is the nearest."""
    places = index.detach().long().clamp(0, data.shape[1] - 1)
    return data.gather(1, places.unsqueeze(1)).squeeze(1)
