"""MobileNetV3, small and large (Howard et al., Searching for MobileNetV3, 2019).

The paper's detectors read the expansion of the first block at stride 32, and the last 1x1
convolution; see :mod:`ssdreg_mobilenet.v2` for what is tapped here, and how to name theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg import Backbone
from ssdreg_mobilenet import inverted
from ssdreg_mobilenet.imagenet import IMAGENET_PREPROCESSING
from ssdreg_mobilenet.inverted import InvertedBlock, InvertedNetwork

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1905.02244"
RELU, HSWISH = "relu", "hswish"
#: Batch normalisation's, as the networks were published. (Their momentum, 0.99, is not taken
#: over: the averages of a detector's short training would still hold its first batches.)
EPSILON = 1e-3

#: Table 2 of the paper: kernel, channels inside and at the end, stride, activation, gate.
SMALL = (
    InvertedBlock(3, 16, 16, 2, RELU, gated=True),
    InvertedBlock(3, 72, 24, 2, RELU),
    InvertedBlock(3, 88, 24, 1, RELU),
    InvertedBlock(5, 96, 40, 2, HSWISH, gated=True),
    InvertedBlock(5, 240, 40, 1, HSWISH, gated=True),
    InvertedBlock(5, 240, 40, 1, HSWISH, gated=True),
    InvertedBlock(5, 120, 48, 1, HSWISH, gated=True),
    InvertedBlock(5, 144, 48, 1, HSWISH, gated=True),
    InvertedBlock(5, 288, 96, 2, HSWISH, gated=True),
    InvertedBlock(5, 576, 96, 1, HSWISH, gated=True),
    InvertedBlock(5, 576, 96, 1, HSWISH, gated=True),
)
#: Table 1 of the paper.
LARGE = (
    InvertedBlock(3, 16, 16, 1, RELU),
    InvertedBlock(3, 64, 24, 2, RELU),
    InvertedBlock(3, 72, 24, 1, RELU),
    InvertedBlock(5, 72, 40, 2, RELU, gated=True),
    InvertedBlock(5, 120, 40, 1, RELU, gated=True),
    InvertedBlock(5, 120, 40, 1, RELU, gated=True),
    InvertedBlock(3, 240, 80, 2, HSWISH),
    InvertedBlock(3, 200, 80, 1, HSWISH),
    InvertedBlock(3, 184, 80, 1, HSWISH),
    InvertedBlock(3, 184, 80, 1, HSWISH),
    InvertedBlock(3, 480, 112, 1, HSWISH, gated=True),
    InvertedBlock(3, 672, 112, 1, HSWISH, gated=True),
    InvertedBlock(5, 672, 160, 2, HSWISH, gated=True),
    InvertedBlock(5, 960, 160, 1, HSWISH, gated=True),
    InvertedBlock(5, 960, 160, 1, HSWISH, gated=True),
)
#: The last stage with half the channels, as in the paper's detectors (its section 6.3).
REDUCED = (
    *LARGE[:12],
    InvertedBlock(5, 672, 80, 2, HSWISH, gated=True),
    InvertedBlock(5, 480, 80, 1, HSWISH, gated=True),
    InvertedBlock(5, 480, 80, 1, HSWISH, gated=True),
)

NETWORKS = {
    "small": InvertedNetwork(16, SMALL, 576, 1024, HSWISH, EPSILON),
    "large": InvertedNetwork(16, LARGE, 960, 1280, HSWISH, EPSILON),
    "large_reduced": InvertedNetwork(16, REDUCED, 480, 640, HSWISH, EPSILON),
}


def symbol(size: str, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    return inverted.symbol(NETWORKS[size], num_classes)


def declare(size: str) -> Backbone:
    """Declare the ``small``, ``large`` or ``large_reduced`` network; it reads strides 16 and 32."""
    network = NETWORKS[size]
    return Backbone(
        name=f"mobilenetv3_{size}", family="mobilenetv3", depth=len(network.blocks),
        build="ssdreg_mobilenet.v3:symbol", arguments={"size": size}, taps=network.taps,
        tap_strides=(16, 32), projections=network.projections, preprocessing=IMAGENET_PREPROCESSING,
        paper=PAPER)


BACKBONES = tuple(declare(size) for size in NETWORKS)
