"""Pre-activation ResNet (He et al., Identity Mappings in Deep Residual Networks, 2016).

The names of parameters and nodes are those of the networks that MXNet users have trained, so
that their checkpoints load. A stage ends in the sum of its last unit, and the sums are numbered
through the whole network: the names of stage ends follow from the numbers of units, for every
depth.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.registry.backbone import Backbone, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1603.05027"
BOTTLENECK = 4  # a bottleneck's output has four times the channels of its inside
BATCH_NORM = {"eps": 2e-5, "momentum": 0.9}


@frozen
class ResNet:
    """The parameters of a ResNet: units per stage, channels of the stem."""

    depth: int
    units: tuple[int, ...]
    bottleneck: bool
    stem: int = 64

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of each stage."""
        factor = BOTTLENECK if self.bottleneck else 1
        return tuple(self.stem * 2**stage * factor for stage in range(len(self.units)))

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The end of the stem and of every stage, counted from the units."""
        ends = [Tap(0, 2, self.stem, "relu0")]
        for index, (units, channels) in enumerate(zip(accumulate(self.units), self.channels)):
            ends.append(Tap(index + 1, 4 * 2**index, channels, sum_name(units - 1)))
        return tuple(ends)


VARIANTS = (
    ResNet(18, (2, 2, 2, 2), bottleneck=False),
    ResNet(34, (3, 4, 6, 3), bottleneck=False),
    ResNet(50, (3, 4, 6, 3), bottleneck=True),
    ResNet(101, (3, 4, 23, 3), bottleneck=True),
    ResNet(152, (3, 8, 36, 3), bottleneck=True),
    ResNet(200, (3, 24, 36, 3), bottleneck=True),
    ResNet(269, (3, 30, 48, 8), bottleneck=True),
)


def sum_name(index: int) -> str:
    """Return the name MXNet gives the `index`-th addition of a network, counted from 0."""
    return f"_plus{index}"


def symbol(variant: ResNet, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = sym.Variable("data")
    x = sym.BatchNorm(x, fix_gamma=True, name="bn_data", **BATCH_NORM)
    x = sym.Convolution(x, num_filter=variant.stem, kernel=(7, 7), stride=(2, 2), pad=(3, 3),
                        no_bias=True, name="conv0")
    x = _norm_relu(x, "bn0", "relu0")
    x = sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name="pooling0")
    unit_count = 0
    for stage, (units, channels) in enumerate(zip(variant.units, variant.channels), start=1):
        for unit in range(1, units + 1):
            # the first unit of a stage changes the channels, and of all but the first stage
            # the resolution too: its shortcut needs a convolution
            stride = 2 if unit == 1 and stage > 1 else 1
            unit_of = _bottleneck if variant.bottleneck else _basic
            branch, entry = unit_of(x, f"stage{stage}_unit{unit}", channels, stride)
            shortcut = x if unit > 1 else sym.Convolution(
                entry, num_filter=channels, kernel=(1, 1), stride=(stride, stride), no_bias=True,
                name=f"stage{stage}_unit{unit}_sc")
            x = sym.elemwise_add(branch, shortcut, name=sum_name(unit_count))
            unit_count += 1
    x = _norm_relu(x, "bn1", "relu1")
    x = sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    x = sym.FullyConnected(sym.Flatten(x, name="flatten0"), num_hidden=num_classes, name="fc1")
    return sym.SoftmaxOutput(x, name="softmax")


def _norm_relu(x: mx.sym.Symbol, norm: str, relu: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.BatchNorm(x, fix_gamma=False, name=norm, **BATCH_NORM)
    return mx.sym.Activation(x, act_type="relu", name=relu)


def _conv(x: mx.sym.Symbol, unit: str, index: int, channels: int, kernel: int,
          stride: int = 1) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """Normalise, activate, convolve; return the convolution and the activation it reads."""
    from ssdreg.mx import mx
    entry = _norm_relu(x, f"{unit}_bn{index}", f"{unit}_relu{index}")
    pad = kernel // 2
    x = mx.sym.Convolution(entry, num_filter=channels, kernel=(kernel, kernel),
                           stride=(stride, stride), pad=(pad, pad), no_bias=True,
                           name=f"{unit}_conv{index}")
    return x, entry


def _bottleneck(x: mx.sym.Symbol, unit: str, channels: int,
                stride: int) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    inside = channels // BOTTLENECK
    x, entry = _conv(x, unit, 1, inside, kernel=1)
    x, _ = _conv(x, unit, 2, inside, kernel=3, stride=stride)
    x, _ = _conv(x, unit, 3, channels, kernel=1)
    return x, entry


def _basic(x: mx.sym.Symbol, unit: str, channels: int,
           stride: int) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    x, entry = _conv(x, unit, 1, channels, kernel=3, stride=stride)
    x, _ = _conv(x, unit, 2, channels, kernel=3)
    return x, entry


def declare(variant: ResNet) -> Backbone:
    """Declare a ResNet of these numbers; detection reads strides 16 and 32."""
    return Backbone(
        name=f"resnet{variant.depth}", family="resnet", depth=variant.depth,
        aliases=(f"resnet{variant.depth}_v2",),
        build="ssdreg.backbones.resnet:symbol", arguments={"variant": variant},
        taps=variant.taps, tap_strides=(16, 32), paper=PAPER)


BACKBONES = tuple(declare(variant) for variant in VARIANTS)
