"""SSD's losses, and the targets of images without objects.

Symbols spell these out in many small operators; an exported file has one function for each.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def with_empty_images(classes: Tensor, labels: Tensor, scores: Tensor | None = None,
                      negative_ratio: float = -1) -> Tensor:
    """Return targets of classes (B, N) with background in images without objects.

    Their anchors, which are all ignored in `classes`, are negatives: all of them, or where there
    is a `negative_ratio` the hardest by `scores` (B, C + 1, N), as many as images with objects keep
    on average, and at least as many as one object has.
    """
    empty = (labels[:, 0, :1] < 0).float()
    if scores is None:
        return torch.maximum(classes, empty - 1)
    share = torch.ceil((classes == 0).sum() / (1 - empty).sum().clamp(min=1))
    log_p = torch.log_softmax(scores, 1)[:, 0]
    # the place of each anchor among those of its image, the hardest first
    place = log_p.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    hard = (place < share.clamp(min=negative_ratio)).float()
    return torch.maximum(classes, hard * empty - 1)


def softmax_loss(scores: Tensor, classes: Tensor) -> Tensor:
    """Return the mean cross-entropy of anchors: (B, C + 1, N) and (B, N) to a scalar.

    `classes` are 0 for background, the class plus one for objects, -1 for what does not count.
    """
    entropy = functional.cross_entropy(scores, classes.long(), ignore_index=-1, reduction="sum")
    return entropy / (classes >= 0).sum().clamp(min=1)


def focal_loss(scores: Tensor, classes: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the softmax form of the focal loss: (B, C + 1, N) and (B, N) to a scalar.

    An anchor whose true class has the probability p adds ``-w * (1 - p)**gamma * log(p)``, w being
    `alpha` for objects and ``1 - alpha`` for background, over the number of positive anchors
    (at least one). Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    counted, positive = (classes >= 0).float(), (classes > 0).float()
    weight = positive * alpha + (counted - positive) * (1 - alpha)
    index = classes.clamp(min=0).long()
    log_p = torch.log_softmax(scores, 1).gather(1, index[:, None])[:, 0]
    # a power below 1 has an infinite derivative at 0, and 0 times that is NaN
    miss = (1 - log_p.exp()).clamp(min=1e-12)
    return -(weight * miss ** gamma * log_p).sum() / positive.sum().clamp(min=1)


def smooth_l1_loss(offsets: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the smooth L1 loss of the offsets of positive anchors: (B, N * 4) each to a scalar.

    Their sum over the number of losses above 0 in the batch, up to four an anchor.
    """
    losses = functional.smooth_l1_loss(mask * offsets, mask * targets, reduction="none")
    return mean_of_positive(losses)


def mean_of_positive(losses: Tensor) -> Tensor:
    """Return the sum of losses over the number of those above 0."""
    return losses.sum() / (losses > 0).sum().clamp(min=1)
