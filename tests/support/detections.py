"""Predictions drawn at random, and the detections that MXNet makes of them."""

from __future__ import annotations

import attrs
import numpy as np

from ssdreg.detector.post_processing import PostProcessing
from ssdreg.mx import mx

RULES = PostProcessing(threshold=.01, nms_threshold=.45, nms_topk=400, force_suppress=False,
                       clip=True,
              variances=(.1, .1, .2, .2))


def by_mxnet(prob, offsets, anchors, rules):
    return mx.nd.contrib.MultiBoxDetection(
        mx.nd.array(prob), mx.nd.array(offsets), mx.nd.array(anchors), threshold=rules.threshold,
        nms_threshold=rules.nms_threshold, nms_topk=rules.nms_topk, clip=rules.clip,
        force_suppress=rules.force_suppress, variances=rules.variances).asnumpy()


@attrs.frozen(eq=False)
class Predicted:
    """Random predictions: probabilities (B, C + 1, N), offsets (B, N * 4), anchors (1, N, 4)."""

    prob: np.ndarray
    offsets: np.ndarray
    anchors: np.ndarray


def predicted(seed, batch=2, classes=5, count=150):
    rng = np.random.default_rng(seed)
    raised = np.exp(rng.normal(0, 2, (batch, classes + 1, count)))
    center, size = rng.uniform(0, 1, (count, 2)), rng.uniform(.05, .4, (count, 2))
    return Predicted((raised / raised.sum(1, keepdims=True)).astype("f4"),
                     rng.normal(0, 1, (batch, count * 4)).astype("f4"),
                     np.concatenate([center - size / 2, center + size / 2], 1)[None].astype("f4"))


def kept(detections):
    return [rows[rows[:, 0] >= 0] for rows in detections]
