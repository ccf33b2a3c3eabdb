"""SSD's operators once more, stated plainly in NumPy: what `ssdreg.ops` is tested against.

Loops where a loop says it best, float64 throughout, no speed. Boxes are x1, y1, x2, y2.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen


def prior(height, width, sizes, ratios, step=None):
    """Return the anchors (1, height * width * A, 4) of a map of height x width cells."""
    down, across = step or (1 / height, 1 / width)
    first = np.sqrt(ratios[0])
    # height and half-way to width of each anchor, as shares of the image's height
    shapes = [(size / first, size * first) for size in sizes]
    shapes += [(sizes[0] / np.sqrt(ratio), sizes[0] * np.sqrt(ratio)) for ratio in ratios[1:]]
    boxes = []
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) * across, (row + 0.5) * down
            for tall, wide in shapes:
                wide = wide * height / width
                boxes.append([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2])
    return np.array([boxes])


def iou(a, b):
    """Return the intersection over union of two boxes; 0 where the union is empty."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    tall = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * tall
    return wide * tall / union if union > 0 else 0.0


def encode(box, anchor, variances):
    """Return the four offsets that turn an anchor into a box."""
    wide, tall = anchor[2] - anchor[0], anchor[3] - anchor[1]
    return np.array([
        ((box[0] + box[2]) - (anchor[0] + anchor[2])) / 2 / wide / variances[0],
        ((box[1] + box[3]) - (anchor[1] + anchor[3])) / 2 / tall / variances[1],
        np.log((box[2] - box[0]) / wide) / variances[2],
        np.log((box[3] - box[1]) / tall) / variances[3]])


def decode(offsets, anchor, variances):
    """Return the box that four offsets make of an anchor: the inverse of `encode`."""
    wide, tall = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = (anchor[0] + anchor[2]) / 2 + offsets[0] * variances[0] * wide
    y = (anchor[1] + anchor[3]) / 2 + offsets[1] * variances[1] * tall
    wide, tall = wide * np.exp(offsets[2] * variances[2]), tall * np.exp(offsets[3] * variances[3])
    return np.array([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2])


def softmax(scores):
    """Return softmax over axis 1, the classes."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@frozen
class Match:
    """Of one image: the object of each positive anchor, and each anchor's best IoU."""

    objects: dict[int, int]
    best_iou: np.ndarray


def match(anchors, objects, threshold=0.5):
    """Match anchors (N, 4) to objects (K, 4): the best pairs first, then all above a threshold."""
    overlaps = np.array([[iou(anchor, box) for box in objects] for anchor in anchors])
    matched = {}
    free = overlaps.copy()
    while free.size and free.max() > 1e-6:
        anchor, box = np.unravel_index(free.argmax(), free.shape)
        matched[int(anchor)] = int(box)
        free[anchor, :] = free[:, box] = -1
    for anchor, row in enumerate(overlaps):
        if anchor not in matched and row.max() > threshold:
            matched[anchor] = int(row.argmax())
    return Match(matched, overlaps.max(axis=1))


def hardest_negatives(match, background, ratio, threshold=0.5):
    """Return the anchors kept as background: those least sure of it, `ratio` per positive."""
    candidates = [anchor for anchor in range(len(background))
                  if anchor not in match.objects and match.best_iou[anchor] < threshold]
    candidates.sort(key=lambda anchor: background[anchor])
    return candidates[:int(len(match.objects) * ratio)]


def targets(anchors, label, cls_pred, variances, negative_ratio=3.0):
    """Return (loc_target, loc_mask, cls_target) for anchors (N, 4) and label (B, M, 5 or more)."""
    batch, count = len(label), len(anchors)
    loc_target, loc_mask = np.zeros((batch, count, 4)), np.zeros((batch, count, 4))
    cls_target = -np.ones((batch, count))
    background = softmax(cls_pred)[:, 0]
    negatives = []
    for image, rows in enumerate(label):
        ends = np.flatnonzero(rows[:, 0] == -1)
        rows = rows[:ends[0]] if len(ends) else rows
        if not len(rows):
            negatives.append(image)
            continue
        found = match(anchors, rows[:, 1:5])
        if negative_ratio > 0:
            cls_target[image, hardest_negatives(found, background[image], negative_ratio)] = 0
        else:
            cls_target[image] = 0
        for anchor, index in found.objects.items():
            cls_target[image, anchor] = rows[index, 0] + 1
            loc_target[image, anchor] = encode(rows[index, 1:5], anchors[anchor], variances)
            loc_mask[image, anchor] = 1
    mined = (cls_target == 0).sum() / max(1, batch - len(negatives))
    kept = count if negative_ratio < 0 else int(max(np.ceil(mined), np.ceil(negative_ratio)))
    for image in negatives:
        cls_target[image, np.argsort(background[image], kind="stable")[:kept]] = 0
    return loc_target.reshape(batch, -1), loc_mask.reshape(batch, -1), cls_target


def detection(cls_prob, loc_pred, anchors, variances, nms_threshold, nms_topk, force_suppress,
              threshold=0.01):
    """Return per image the detections (K, 6) that survive, best first."""
    found = []
    for scores, offsets in zip(cls_prob, loc_pred.reshape(len(cls_prob), -1, 4)):
        rows = []
        for index, anchor in enumerate(anchors):
            best = int(scores[1:, index].argmax())
            score = scores[best + 1, index]
            if score >= threshold:
                box = decode(offsets[index], anchor, variances).clip(0, 1)
                rows.append([best, score, *box])
        rows.sort(key=lambda row: -row[1])
        kept = []
        for row in rows[:nms_topk]:
            rivals = [other for other in kept if force_suppress or other[0] == row[0]]
            if all(iou(row[2:], other[2:]) < nms_threshold for other in rivals):
                kept.append(row)
        found.append(np.array(kept).reshape(-1, 6))
    return found


def softmax_loss(cls_pred, cls_target):
    """Return (loss, its gradient in cls_pred): mean cross-entropy of anchors not ignored."""
    prob = softmax(cls_pred)
    gradient, loss = np.zeros_like(prob), 0.0
    valid = max(1, (cls_target != -1).sum())
    for image, anchor in zip(*np.nonzero(cls_target != -1)):
        true = int(cls_target[image, anchor])
        loss -= np.log(prob[image, true, anchor]) / valid
        gradient[image, :, anchor] = prob[image, :, anchor] / valid
        gradient[image, true, anchor] -= 1 / valid
    return loss, gradient


def smooth_l1_loss(loc_pred, loc_target, loc_mask):
    """Return (loss per value, gradient in loc_pred of its mean over the values above 0)."""
    distance = (loc_pred - loc_target) * loc_mask
    near = np.abs(distance) < 1
    loss = np.where(near, 0.5 * distance**2, np.abs(distance) - 0.5)
    slope = np.where(near, distance, np.sign(distance)) * loc_mask
    return loss, slope / max(1, (loss > 0).sum())


def focal_loss(cls_pred, cls_target, alpha=0.25, gamma=2.0):
    """Return the focal loss: a sum over anchors, divided by the number of positive ones."""
    prob, loss = softmax(cls_pred), 0.0
    for image, anchor in zip(*np.nonzero(cls_target != -1)):
        true = int(cls_target[image, anchor])
        p = prob[image, true, anchor]
        weight = alpha if true > 0 else 1 - alpha
        loss -= weight * (1 - p)**gamma * np.log(p)
    return loss / max(1, (cls_target > 0).sum())


def numeric_gradient(function, x, step=1e-5):
    """Return the gradient of function(x), a number, by central differences."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += step
        up = function(moved)
        moved[index] -= 2 * step
        gradient[index] = (up - function(moved)) / (2 * step)
    return gradient
