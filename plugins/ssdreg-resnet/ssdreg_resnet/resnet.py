"""Post-activation ResNet (He et al., Deep Residual Learning for Image Recognition, 2015) and
ResNeXt (Xie et al., Aggregated Residual Transformations for Deep Neural Networks, 2016).

The variant called v1b: the stride of a bottleneck is in its 3x3 convolution, as in the networks of
torchvision and timm. Nodes are named after the modules of those, with underscores for dots, so
that parameters map one to one: ``layer3.5.conv2.weight`` is ``layer3_5_conv2_weight`` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Backbone, Preprocessing, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

RESNET = "https://arxiv.org/abs/1512.03385"
RESNEXT = "https://arxiv.org/abs/1611.05431"

#: What torchvision and timm train with: ImageNet's mean and standard deviation.
IMAGENET_PREPROCESSING = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

STEM = 64
BOTTLENECK = 4  # a bottleneck's output has four times the channels of its planes
BATCH_NORM = {"eps": 1e-5, "momentum": 0.9, "fix_gamma": False}


@frozen
class ResNetV1b:
    """The parameters of a network: blocks per stage, and their widths.

    A bottleneck's 3x3 convolution is in `groups`, each of `width` channels in the first stage and
    twice as many in the next; a plain ResNet has one group of 64.
    """

    name: str
    family: str
    depth: int
    blocks: tuple[int, ...]
    bottleneck: bool
    paper: str
    groups: int = 1
    width: int = 64

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of each stage."""
        factor = BOTTLENECK if self.bottleneck else 1
        return tuple(STEM * 2**stage * factor for stage in range(len(self.blocks)))

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The end of the stem and of every stage, counted from the blocks."""
        ends = [Tap(0, 2, STEM, "relu")]
        for stage, (blocks, channels) in enumerate(zip(self.blocks, self.channels), start=1):
            last = block_name(stage, blocks - 1)
            ends.append(Tap(stage, 2**(stage + 1), channels, f"{last}_relu"))
        return tuple(ends)


def _resnet(depth: int, blocks: tuple[int, ...], bottleneck: bool) -> ResNetV1b:
    return ResNetV1b(f"resnet{depth}_v1b", "resnet_v1b", depth, blocks, bottleneck, RESNET)


def _resnext(depth: int, blocks: tuple[int, ...], groups: int, width: int) -> ResNetV1b:
    return ResNetV1b(f"resnext{depth}_{groups}x{width}d", "resnext", depth, blocks, True, RESNEXT,
                     groups, width)


VARIANTS = (
    _resnet(18, (2, 2, 2, 2), bottleneck=False),
    _resnet(34, (3, 4, 6, 3), bottleneck=False),
    _resnet(50, (3, 4, 6, 3), bottleneck=True),
    _resnet(101, (3, 4, 23, 3), bottleneck=True),
    _resnet(152, (3, 8, 36, 3), bottleneck=True),
    _resnext(50, (3, 4, 6, 3), groups=32, width=4),
    _resnext(101, (3, 4, 23, 3), groups=32, width=8),
)


def block_name(stage: int, block: int) -> str:
    """Return the name of a block; stages count from 1, the blocks of a stage from 0."""
    return f"layer{stage}_{block}"


def symbol(variant: ResNetV1b, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = _conv(sym.Variable("data"), "conv1", STEM, kernel=7, stride=2)
    x = sym.Activation(_norm(x, "bn1"), act_type="relu", name="relu")
    x = sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name="maxpool")
    before = STEM
    for stage, (blocks, channels) in enumerate(zip(variant.blocks, variant.channels), start=1):
        for block in range(blocks):
            # the first block of every stage but the first halves the resolution
            stride = 2 if block == 0 and stage > 1 else 1
            x = _block(variant, x, block_name(stage, block), stage, stride,
                       shortcut=before != channels)
            before = channels
    x = sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="avgpool")
    x = sym.FullyConnected(sym.Flatten(x, name="flatten"), num_hidden=num_classes, name="fc")
    return sym.SoftmaxOutput(x, name="softmax")


def _block(variant: ResNetV1b, x: mx.sym.Symbol, name: str, stage: int, stride: int,
           shortcut: bool) -> mx.sym.Symbol:
    """Add a block; with a `shortcut` its input goes through a convolution."""
    from ssdreg.mx import mx
    planes, channels = STEM * 2**(stage - 1), variant.channels[stage - 1]
    inside = planes * variant.width // STEM * variant.groups
    # filters, kernel, stride and groups of its convolutions
    convolutions: tuple[tuple[int, int, int, int], ...] = (
        (planes, 3, stride, 1), (channels, 3, 1, 1))
    if variant.bottleneck:
        convolutions = ((inside, 1, 1, 1), (inside, 3, stride, variant.groups), (channels, 1, 1, 1))
    branch = x
    for index, (filters, kernel, step, groups) in enumerate(convolutions, start=1):
        branch = _norm(_conv(branch, f"{name}_conv{index}", filters, kernel, step, groups),
                       f"{name}_bn{index}")
        if index < len(convolutions):
            branch = mx.sym.Activation(branch, act_type="relu", name=f"{name}_relu{index}")
    if shortcut:
        x = _norm(_conv(x, f"{name}_downsample_0", channels, kernel=1, stride=stride),
                  f"{name}_downsample_1")
    x = mx.sym.elemwise_add(branch, x, name=f"{name}_plus")
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")


def _conv(x: mx.sym.Symbol, name: str, filters: int, kernel: int, stride: int = 1,
          groups: int = 1) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    pad = kernel // 2
    return mx.sym.Convolution(x, num_filter=filters, kernel=(kernel, kernel),
                              stride=(stride, stride), pad=(pad, pad), num_group=groups,
                              no_bias=True, name=name)


def _norm(x: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    return mx.sym.BatchNorm(x, name=name, **BATCH_NORM)


def declare(variant: ResNetV1b) -> Backbone:
    """Declare a network of these numbers; detection reads strides 16 and 32."""
    return Backbone(
        name=variant.name, family=variant.family, depth=variant.depth,
        build="ssdreg_resnet.resnet:symbol", arguments={"variant": variant},
        taps=variant.taps, tap_strides=(16, 32), paper=variant.paper,
        preprocessing=IMAGENET_PREPROCESSING)


BACKBONES = tuple(declare(variant) for variant in VARIANTS)
