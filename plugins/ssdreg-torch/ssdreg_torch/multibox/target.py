"""Targets: the match of anchors with objects, and the negatives that count."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssdreg_torch.multibox.boxes import overlaps

#: What an object's own anchor overlaps it by, at least.
LEAST_OVERLAP = 1e-6


class Targeting(NamedTuple):
    """How anchors are matched with objects.

    - `overlap`: the IoU above which an anchor is positive
    - `ignore`: the class of anchors that do not count
    - `negative_ratio`: how many negatives are mined for each positive, all for -1
    - `negative_overlap`: the IoU below which an anchor may be mined
    - `variances`: what offsets are divided by: of the centre, across and down, and of the sides
    """

    overlap: float
    ignore: float
    negative_ratio: float
    negative_overlap: float
    variances: tuple[float, ...]


@torch.no_grad()
def find_targets(anchors: Tensor, label: Tensor, scores: Tensor, settings: Targeting
                 ) -> tuple[Tensor, Tensor, Tensor]:
    """Match anchors (1, N, 4) with objects (B, M, 5 or more): offsets, mask and classes.

    Offsets and mask are (B, N * 4), classes (B, N): the class plus one, 0 for background,
    ``ignore`` for what does not count. `scores` (B, C + 1, N) rank the negatives.
    """
    anchors, label, scores = anchors[0].float(), label.float(), scores.float()
    # an object's row is valid up to the first with class -1
    valid = (label[..., 0] != -1).cumprod(1).bool()
    iou = overlaps(anchors, label[:, :, None, 1:5])
    iou = torch.where(valid[..., None], iou, -1.0)
    best_iou, best_object = iou.max(1)
    own = match_greedily(iou)
    positive = (own >= 0) | (best_iou > settings.overlap)
    matched = torch.where(own >= 0, own, best_object)
    has_objects = valid.any(1, keepdim=True)
    positive = positive & has_objects
    if settings.negative_ratio > 0:
        negative = mined(positive, best_iou, scores, settings)
    else:
        negative = ~positive
    negative = negative & has_objects
    rows = label.gather(1, matched[..., None].expand(-1, -1, 5))
    classes = torch.where(positive, rows[..., 0] + 1, torch.where(negative, 0.0, settings.ignore))
    mask = positive[..., None].expand(-1, -1, 4)
    offsets = torch.where(mask, encode(anchors, rows[..., 1:5], settings.variances), 0.0)
    return offsets.flatten(1), mask.to(offsets.dtype).flatten(1), classes


def match_greedily(iou: Tensor) -> Tensor:
    """Give each object one anchor: IoU (B, M, N) to the object of each anchor (B, N), -1 for none.

    The pair with the greatest IoU is matched first, then the best of the objects and anchors left.
    Of equal pairs it is the first anchor's, then the first object's. At most M anchors are ever
    taken, so that the best M of each object hold all that can be matched.
    """
    batch, objects, anchors = iou.shape
    # one number orders pairs by IoU, then by anchor: a float's bits grow with it where it is
    # positive
    bits = iou.contiguous().view(torch.int32).to(torch.int64)
    places = torch.arange(anchors - 1, -1, -1, device=iou.device)
    keys = torch.where(iou > LEAST_OVERLAP, (bits << 32) | places, -1)
    keys = keys.topk(min(objects, anchors), 2).values
    candidates = (anchors - 1 - (keys & 0xFFFFFFFF)).clamp(0, anchors - 1)
    own = torch.full((batch, anchors), -1, dtype=torch.int64, device=iou.device)
    per_object = keys.shape[2]
    for _ in range(objects):
        key, place = keys.flatten(1).max(1, keepdim=True)
        chosen = torch.div(place, per_object, rounding_mode="floor")
        anchor = candidates.flatten(1).gather(1, place)
        own.scatter_(1, anchor, torch.where(key >= 0, chosen, own.gather(1, anchor)))
        taken = (candidates == anchor[..., None]) | (
            torch.arange(objects, device=iou.device)[:, None] == chosen[..., None])
        keys = keys.masked_fill(taken & (key[..., None] >= 0), -1)
    return own


def mined(positive: Tensor, best_iou: Tensor, scores: Tensor, settings: Targeting) -> Tensor:
    """Return which anchors (B, N) are negatives: those least taken for background.

    All that may be where there are fewer than wanted, at which MXNet stops with an error.
    """
    count = positive.sum(1, keepdim=True)
    wanted = (count.float() * settings.negative_ratio).long()
    wanted = torch.minimum(wanted, positive.shape[1] - count)
    may = ~positive & (best_iou < settings.negative_overlap)
    # beyond every probability
    probability = torch.where(may, background(scores), 2.0)
    order = probability.argsort(dim=1, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return may & (rank < wanted)


def background(scores: Tensor) -> Tensor:
    """Return the softmax probability of background (B, N) of scores (B, C + 1, N).

    Rounded as MXNet's loop over the classes rounds it, since which anchor is mined can hang on the
    last bit. (Powers are rounded correctly; those of the C library are not in one of 1600 cases.)
    """
    powers = (scores - scores.amax(1, keepdim=True)).double().exp().float()
    total = torch.zeros_like(powers[:, 0])
    for power in powers.unbind(1):
        total = total + power
    return powers[:, 0] / total


def encode(anchors: Tensor, boxes: Tensor, variances: tuple[float, ...]) -> Tensor:
    """Return the offsets of boxes (B, N, 4) from anchors (N, 4)."""
    sides, targets = (part[..., 2:] - part[..., :2] for part in (anchors, boxes))
    distance = ((boxes[..., 2:] + boxes[..., :2]) - (anchors[..., 2:] + anchors[..., :2])) * 0.5
    scale = torch.tensor(variances, device=boxes.device)
    return torch.cat((distance / sides / scale[:2], torch.log(targets / sides) / scale[2:]), -1)
