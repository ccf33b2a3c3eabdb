"""Detections: decoded, thresholded, suppressed."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ssdreg_torch.multibox.boxes import overlaps

#: Rows of boxes that are held against all others at once.
BLOCK = 512


class Detecting(NamedTuple):
    """How predictions become detections.

    - `clip`: whether boxes end at the image's sides
    - `threshold`: the least score
    - `overlap`: the IoU from which on a box suppresses a worse one of its class, or of any class
      for `every_class`
    - `best`: how many of the best go through suppression, all for -1
    - `variances`: what offsets are multiplied by: of the centre, across and down, and of the sides
    """

    clip: bool
    threshold: float
    overlap: float
    every_class: bool
    best: int
    variances: tuple[float, ...]


@torch.no_grad()
def find_detections(scores: Tensor, offsets: Tensor, anchors: Tensor, settings: Detecting
                    ) -> Tensor:
    """Return detections (B, N, 6): class, score, corners; rows in MXNet's order, -1 where dropped.

    `scores` (B, C + 1, N) probabilities, `offsets` (B, N * 4), `anchors` (1, N, 4).
    """
    scores, offsets, anchors = scores.float(), offsets.float(), anchors[0].float()
    score, best = scores[:, 1:].max(1)
    valid = (score >= settings.threshold) & (score > -1)
    boxes = decode(anchors, offsets.reshape(len(offsets), -1, 4), settings.variances)
    if settings.clip:
        boxes = boxes.clamp(0, 1)
    rows = torch.cat((best[..., None].float(), score[..., None], boxes), -1)
    suppresses = 0 < settings.overlap <= 1
    # the others behind those that are valid, whose own order is kept among equals
    rank = torch.where(valid, score if suppresses else 1.0, -math.inf)
    order = rank.argsort(dim=1, descending=True, stable=True)
    rows = rows.gather(1, order[..., None].expand_as(rows))
    kept = valid.gather(1, order)
    if suppresses:
        if settings.best > 0:
            kept = kept & (torch.arange(kept.shape[1], device=kept.device) < settings.best)
        kept = suppress(rows, kept, settings)
    return torch.where(kept[..., None], rows, -1.0)


def decode(anchors: Tensor, offsets: Tensor, variances: tuple[float, ...]) -> Tensor:
    """Return the boxes (B, N, 4) of offsets (B, N, 4) from anchors (N, 4)."""
    scale = torch.tensor(variances, device=offsets.device)
    sides = anchors[:, 2:] - anchors[:, :2]
    middle = (anchors[:, 2:] + anchors[:, :2]) / 2
    center = offsets[..., :2] * scale[:2] * sides + middle
    half = torch.exp(offsets[..., 2:] * scale[2:]) * sides / 2
    return torch.cat((center - half, center + half), -1)


def suppress(rows: Tensor, kept: Tensor, settings: Detecting) -> Tensor:
    """Return which rows (B, N) stay of those sorted by score, block by block.

    A row goes that one kept before it overlaps. Within a block that is settled by repetition:
    rows whose betters are settled are settled by the next round, and few rounds are needed.
    """
    kept = kept.clone()
    count = int(kept.sum(1).max())
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        block = rows[:, begin:end]
        drops = _drops(block, block, settings)
        drops = drops & torch.ones_like(drops[0]).triu(1)
        before = kept[:, begin:end]
        stays = before
        while True:
            settled = before & ~(drops & stays[..., None]).any(1)
            if torch.equal(settled, stays):
                break
            stays = settled
        kept[:, begin:end] = stays
        if end < count:
            drops = _drops(block, rows[:, end:count], settings)
            kept[:, end:count] &= ~(drops & stays[..., None]).any(1)
    return kept


def _drops(better: Tensor, worse: Tensor, settings: Detecting) -> Tensor:
    """Return which rows would drop which others: (B, K, 6) and (B, L, 6) to (B, K, L)."""
    overlap = overlaps(better[:, :, None, 2:], worse[:, None, :, 2:]) >= settings.overlap
    if settings.every_class:
        return overlap
    return overlap & (better[:, :, None, 0] == worse[:, None, :, 0])
