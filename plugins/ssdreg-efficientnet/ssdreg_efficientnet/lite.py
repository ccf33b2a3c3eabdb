"""EfficientNet-Lite: EfficientNet (Tan and Le, 2019) without squeeze-and-excitation, with ReLU6.

Published by its authors in 2020 for devices that run in integers. Stem and last block are the
same in all; the blocks between are scaled in width and in number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Backbone, Preprocessing, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1905.11946"
STEM, HEAD = 32, 1280
#: TensorFlow's batch normalisation: epsilon as the weights were trained with.
BATCH_NORM = {"fix_gamma": False, "eps": 1e-3, "momentum": 0.9}
#: Channels are multiples of this.
DIVISOR = 8


@frozen
class BlockGroup:
    """Inverted bottlenecks of one kind: the first has the stride, the others are residual."""

    count: int
    kernel: int
    stride: int
    expansion: int
    channels: int


#: Lite0's blocks; the first and the last group are not repeated more often in deeper networks.
GROUPS = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(2, 3, 2, 6, 24),
    BlockGroup(2, 5, 2, 6, 40),
    BlockGroup(3, 3, 2, 6, 80),
    BlockGroup(3, 5, 1, 6, 112),
    BlockGroup(4, 5, 2, 6, 192),
    BlockGroup(1, 3, 1, 6, 320),
)


@frozen
class Lite:
    """The parameters of a network: the scaling of width and depth, and its training resolution."""

    number: int
    width: float
    depth: float
    resolution: int

    @property
    def groups(self) -> tuple[BlockGroup, ...]:
        """The blocks, scaled."""
        last = len(GROUPS) - 1
        return tuple(BlockGroup(group.count if index in (0, last)
                                else math.ceil(group.count * self.depth),
                                group.kernel, group.stride, group.expansion,
                                rounded(group.channels * self.width))
                     for index, group in enumerate(GROUPS))

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The last block's end before each drop in resolution, counted from the blocks."""
        taps: list[Tap] = []
        stride, done = 2, 0
        for index, group in enumerate(self.groups):
            stride *= group.stride
            done += group.count
            following = self.groups[index + 1:]
            if not following or following[0].stride > 1:
                taps.append(Tap(len(taps) + 1, stride, group.channels,
                                block_end(done - 1, residual=group.count > 1)))
        return tuple(taps)


VARIANTS = (
    Lite(0, 1.0, 1.0, 224),
    Lite(1, 1.0, 1.1, 240),
    Lite(2, 1.1, 1.2, 260),
)


def rounded(channels: float) -> int:
    """Round to a multiple of the divisor, but not down by more than a tenth."""
    nearest = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest if nearest >= 0.9 * channels else nearest + DIVISOR


def block_end(index: int, residual: bool) -> str:
    """Return the node that ends the `index`-th block: its sum, or its last normalisation."""
    return f"blocks_{index}_sum" if residual else f"blocks_{index}_bn2"


def symbol(variant: Lite, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``fc`` (B, num_classes), before softmax."""
    from ssdreg.mx import mx
    sym = mx.sym
    side = variant.resolution
    x = sym.Variable("data")
    x, side = _conv(x, "conv_stem", STEM, kernel=3, stride=2, side=side)
    x = _relu6(_norm(x, "bn0"), "relu0")
    entering, done = STEM, 0
    for group in variant.groups:
        for repeat in range(group.count):
            stride = group.stride if repeat == 0 else 1
            inner, side = _block(x, f"blocks_{done}", group, entering, stride, side)
            x = sym.elemwise_add(inner, x, name=block_end(done, True)) if repeat else inner
            entering, done = group.channels, done + 1
    x, side = _conv(x, "conv_head", HEAD, kernel=1, stride=1, side=side)
    x = _relu6(_norm(x, "bn1"), "relu1")
    x = sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool")
    return sym.FullyConnected(sym.Flatten(x, name="flatten"), num_hidden=num_classes, name="fc")


def _block(x: mx.sym.Symbol, name: str, group: BlockGroup, entering: int, stride: int,
           side: int) -> tuple[mx.sym.Symbol, int]:
    """Widen, filter each channel by itself, narrow; the narrow end has no activation."""
    inside = entering * group.expansion
    if group.expansion > 1:
        x, side = _conv(x, f"{name}_expand_conv", inside, kernel=1, stride=1, side=side)
        x = _relu6(_norm(x, f"{name}_bn0"), f"{name}_relu0")
    x, side = _conv(x, f"{name}_depthwise_conv", inside, kernel=group.kernel, stride=stride,
                    side=side, groups=inside)
    x = _relu6(_norm(x, f"{name}_bn1"), f"{name}_relu1")
    x, side = _conv(x, f"{name}_project_conv", group.channels, kernel=1, stride=1, side=side)
    return _norm(x, f"{name}_bn2"), side


def _conv(x: mx.sym.Symbol, name: str, channels: int, *, kernel: int, stride: int, side: int,
          groups: int = 1) -> tuple[mx.sym.Symbol, int]:
    """Convolve a map that is `side` cells wide at the training resolution, padded as then.

    TensorFlow pads one row less before the map than behind it when the total is odd. MXNet's
    convolution pads both sides alike: it gets one stride more in front, and its first row and
    column are cut off. The result is the same, and much cheaper than padding the larger map first.
    """
    from ssdreg.mx import mx
    out = math.ceil(side / stride)
    total = max(0, (out - 1) * stride + kernel - side)
    before, uneven = total // 2, total % 2
    pad = before + stride if uneven else before
    settings = {} if groups == 1 else {"num_group": groups}
    x = mx.sym.Convolution(x, num_filter=channels, kernel=(kernel, kernel),
                           stride=(stride, stride), pad=(pad, pad), no_bias=True, name=name,
                           **settings)
    if uneven:
        x = mx.sym.slice(x, begin=(None, None, 1, 1), end=(None, None, None, None),
                         name=f"{name}_crop")
    return x, out


def _norm(x: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    return mx.sym.BatchNorm(x, name=name, **BATCH_NORM)


def _relu6(x: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    return mx.sym.clip(x, a_min=0.0, a_max=6.0, name=name)


def declare(variant: Lite) -> Backbone:
    """Declare a network; detection reads strides 8, 16 and 32, through projections."""
    return Backbone(
        name=f"efficientnet-lite{variant.number}", family="efficientnet-lite",
        depth=variant.number + 1, build="ssdreg_efficientnet.lite:symbol",
        arguments={"variant": variant}, taps=variant.taps, tap_strides=(8, 16, 32), paper=PAPER,
        projections={8: 128, 16: 256, 32: 256},
        preprocessing=Preprocessing(mean=(127.0,) * 3, std=(128.0,) * 3))


BACKBONES = tuple(declare(variant) for variant in VARIANTS)
