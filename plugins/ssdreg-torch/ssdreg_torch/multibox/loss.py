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


def giou_loss(offsets: Tensor, targets: Tensor, mask: Tensor,
              variances: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)) -> Tensor:
    """Return 1 - GIoU of the boxes of positive anchors with their objects: (B, N * 4) to a scalar.

    The mean over those that differ; generalized IoU is 1 for equal boxes and falls to -1 the
    farther apart they are. Rezatofighi et al., Generalized Intersection over Union, 2019.
    """
    boxes = around_anchors(mask * offsets, variances)
    objects = around_anchors(targets.detach(), variances)
    inner = torch.minimum(boxes[2], objects[2]) - torch.maximum(boxes[0], objects[0])
    outer = torch.maximum(boxes[2], objects[2]) - torch.minimum(boxes[0], objects[0])
    inner_down = torch.minimum(boxes[3], objects[3]) - torch.maximum(boxes[1], objects[1])
    outer_down = torch.maximum(boxes[3], objects[3]) - torch.minimum(boxes[1], objects[1])
    shared, hull = inner.clamp(min=0) * inner_down.clamp(min=0), outer * outer_down
    union = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (boxes, objects)) - shared
    losses = 1 - shared / union + (hull - union) / hull
    return mean_of_positive(mask.unflatten(1, (-1, 4))[..., 0] * losses)


def around_anchors(offsets: Tensor, variances: tuple[float, ...]) -> tuple[Tensor, ...]:
    """Return left, top, right and bottom (B, N) of boxes from their offsets (B, N * 4).

    The origin is the anchor's center, and its width and height are 1. Sides are bounded, as the
    power of an offset that may be anything is not.
    """
    x, y, width, height = (offsets.unflatten(1, (-1, 4)) * offsets.new_tensor(variances)).unbind(2)
    across, down = (side.clamp(min=-MOST_GROWTH, max=MOST_GROWTH).exp() / 2
                    for side in (width, height))
    return x - across, y - down, x + across, y + down


#: The greatest logarithm of a side, in sides of the anchor.
MOST_GROWTH = 4.135166556742356


def mean_of_positive(losses: Tensor) -> Tensor:
    """Return the sum of losses over the number of those above 0."""
    return losses.sum() / (losses > 0).sum().clamp(min=1)
