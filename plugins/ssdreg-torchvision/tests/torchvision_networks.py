"""torchvision's detectors with random parameters that make detections of all kinds."""

from __future__ import annotations

import math

import numpy as np
from torchvision_here import torch, torchvision

#: By the names that they are declared under here.
NETWORKS = {"ssd300_vgg16.coco": "ssd300_vgg16",
            "ssdlite320_mobilenet_v3_large.coco": "ssdlite320_mobilenet_v3_large"}
#: How far class scores before softmax, and offsets, are spread: so that scores are not all alike,
#: and boxes neither their anchors nor all the image.
SCORES, OFFSETS = 3.0, 1.0
#: Of every anchor, background among them.
CLASSES = 91


def network(name, background=0.0):
    """Return a detector of torchvision's, in evaluation, with random parameters.

    `background` is added to its score: with 0 there are more candidates than are looked at, with
    15 fewer detections than there may be. Two of the classes are nearly the same.
    """
    torch.manual_seed(0)
    made = getattr(torchvision.models.detection, NETWORKS[name])(weights=None,
                                                                 weights_backbone=None).eval()
    for key, value in made.state_dict().items():
        if value.ndim == 4:
            value.normal_(0, math.sqrt(1.6 / math.prod(value.shape[1:])))
        elif key.endswith("running_var") or (key.endswith(".1.weight") and value.ndim == 1):
            value.uniform_(0.6, 1.6)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
    spread(made, transformed(made, pictures(made, 1)).tensors)
    for predictor in made.head.classification_head.module_list:
        last = predictor if hasattr(predictor, "weight") else predictor[-1]
        for values in (last.weight.data, last.bias.data):
            by_class = values.view(-1, CLASSES, *values.shape[1:])
            by_class[:, 4] = 0.97 * by_class[:, 3]
        last.bias.data.view(-1, CLASSES)[:, 0] += background
    return made


@torch.no_grad()
def spread(made, data):
    """Let the predictors' values vary as much as is wished."""
    features = list(made.backbone(data).values())
    for head, wanted in ((made.head.classification_head, SCORES),
                         (made.head.regression_head, OFFSETS)):
        for feature, predictor in zip(features, head.module_list):
            last = predictor if hasattr(predictor, "weight") else predictor[-1]
            factor = wanted / predictor(feature).std()
            last.weight.mul_(factor)
            last.bias.mul_(factor)


def side(made):
    """Return the side of a detector's input in pixels."""
    return made.transform.fixed_size[0]


def pictures(made, count, seed=1):
    """Return pixels (count, side, side, 3) uint8 of the size of a detector's input."""
    cells, length = 20, side(made)
    coarse = np.random.RandomState(seed).uniform(0, 256, (count, cells, cells, 3))
    return coarse.repeat(-(-length // cells), 1).repeat(-(-length // cells), 2)[
        :, :length, :length].astype(np.uint8)


def as_torch(pixels):
    """Return pixels as torchvision wants them, a tensor (3, H, W) of 0 to 1 each."""
    return [torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)
            for picture in pixels]


def transformed(made, pixels):
    """Return what a detector's network reads."""
    return made.transform(as_torch(pixels))[0]
