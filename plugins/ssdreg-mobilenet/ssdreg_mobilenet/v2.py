"""MobileNetV2 (Sandler et al., 2018) in the widths that weights were published for.

ReLU6 as in the paper, though plain ReLU is faster in MXNet: published weights need it.

The paper's SSDLite reads what the next block's expansion makes of a stage's end, and the last
1x1 convolution. Here a tap is the end of its stage, as for any backbone; the projection behind
it takes the expansion's place. `from_layers` can name the paper's nodes instead (the expansion
of the first block at stride 32, ``head_relu6``): they belong to the same stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Backbone, StopsAt
from ssdreg_mobilenet import inverted
from ssdreg_mobilenet.imagenet import IMAGENET_PREPROCESSING
from ssdreg_mobilenet.inverted import InvertedBlock, InvertedNetwork, rounded

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1801.04381"
STOPS_AT = StopsAt(32, "the 1x1 convolution behind the last block widens its map for the "
                       "classifier; detection reads the block itself, through a projection")
STEM, HEAD = 32, 1280


@frozen
class Group:
    """Blocks of one kind, the first with the stride; `expansion` is how much wider inside."""

    expansion: int
    channels: int
    count: int
    stride: int


#: Table 2 of the paper, at full width.
GROUPS = (
    Group(1, 16, 1, 1),
    Group(6, 24, 2, 2),
    Group(6, 32, 3, 2),
    Group(6, 64, 4, 2),
    Group(6, 96, 3, 1),
    Group(6, 160, 3, 2),
    Group(6, 320, 1, 1),
)
#: Widths in percent; the paper's tables have 100 and 140.
WIDTHS = (50, 75, 100, 140)


def network(width: int) -> InvertedNetwork:
    """Return the network at a width in percent; below 100 its head stays as wide."""
    share = width / 100
    stem = rounded(STEM * share)
    blocks: list[InvertedBlock] = []
    for group in GROUPS:
        channels = rounded(group.channels * share)
        for index in range(group.count):
            entering = blocks[-1].channels if blocks else stem
            blocks.append(InvertedBlock(3, entering * group.expansion, channels,
                                        stride=group.stride if index == 0 else 1))
    return InvertedNetwork(stem, tuple(blocks), head=rounded(HEAD * max(1.0, share)))


def symbol(width: int, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    return inverted.symbol(network(width), num_classes)


def declare(width: int) -> Backbone:
    """Declare the network at a width in percent; detection reads strides 16 and 32."""
    variant, name = network(width), f"mobilenetv2_{width / 100}"
    return Backbone(
        name="mobilenetv2" if width == 100 else name, family="mobilenetv2", depth=width,
        aliases=(name,) if width == 100 else (), build="ssdreg_mobilenet.v2:symbol",
        arguments={"width": width}, taps=variant.taps, tap_strides=(16, 32),
        stops_at=STOPS_AT, projections=variant.projections,
        preprocessing=IMAGENET_PREPROCESSING, paper=PAPER)


BACKBONES = tuple(declare(width) for width in WIDTHS)
