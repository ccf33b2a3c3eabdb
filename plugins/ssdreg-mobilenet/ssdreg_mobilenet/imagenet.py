"""The preprocessing that most published ImageNet weights of these networks expect."""

from __future__ import annotations

from ssdreg import Preprocessing

IMAGENET_PREPROCESSING = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
