"""MobileNet (Howard et al., MobileNets, 2017): depthwise and pointwise convolutions in turn.

The names of parameters and nodes are those of the network that MXNet users have trained, so that
its checkpoints load: convolutions are numbered from 1 with the stem, and a depthwise one bears
the number of the pointwise one behind it. Where a stage ends follows from the strides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Backbone, Extra, Preset, Tap
from ssdreg_mobilenet.stages import stage_ends

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1704.04861"
STEM = 32


@frozen
class Pair:
    """A depthwise 3x3 convolution with a stride, and a pointwise one that makes `channels`."""

    channels: int
    stride: int = 1


#: Table 1 of the paper, at full width.
PAIRS = (
    Pair(64),
    Pair(128, 2), Pair(128),
    Pair(256, 2), Pair(256),
    Pair(512, 2), Pair(512), Pair(512), Pair(512), Pair(512), Pair(512),
    Pair(1024, 2), Pair(1024),
)
#: The widths of the paper, in percent.
WIDTHS = (25, 50, 75, 100)

#: The levels that the author of MXNet's SSD example put behind the full width at every input
#: size: seven in all, the last a repetition of the single cell before it. So it is declared for
#: the two sizes that SSDs are published at; others get levels down to one cell.
EXTRAS = (Extra(512), Extra(256), Extra(256), Extra(256), Extra(256))
PRESETS = {100: (Preset(data_shape=300, extras=EXTRAS), Preset(data_shape=512, extras=EXTRAS))}


def scaled(channels: int, width: int) -> int:
    """Return the channels of a layer at a width in percent; those of the paper divide evenly."""
    return channels * width // 100


def relu_name(number: int) -> str:
    """Return the activation behind the `number`-th convolution, the stem being the first."""
    return f"conv_{number}_relu"


def taps(width: int) -> tuple[Tap, ...]:
    """Return the activation of the last pair of every stage."""
    ends = stage_ends(pair.stride for pair in PAIRS)
    return tuple(Tap(stage, stride, scaled(PAIRS[index].channels, width), relu_name(index + 2))
                 for stage, (stride, index) in enumerate(ends, start=1))


def symbol(width: int, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    entering = scaled(STEM, width)
    x = _conv(sym.Variable("data"), "conv_1", entering, kernel=3, stride=2)
    for number, pair in enumerate(PAIRS, start=2):
        x = _conv(x, f"conv_{number}_dw", entering, kernel=3, stride=pair.stride, groups=entering)
        entering = scaled(pair.channels, width)
        x = _conv(x, f"conv_{number}", entering)
    x = sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="global_pool")
    x = sym.FullyConnected(sym.Flatten(x, name="flatten"), num_hidden=num_classes, name="fc")
    return sym.SoftmaxOutput(x, name="softmax")


def _conv(x: mx.sym.Symbol, name: str, channels: int, kernel: int = 1, stride: int = 1,
          groups: int = 1) -> mx.sym.Symbol:
    """Convolve, normalise, activate."""
    from ssdreg.mx import mx
    pad = kernel // 2
    x = mx.sym.Convolution(x, num_filter=channels, kernel=(kernel, kernel),
                           stride=(stride, stride), pad=(pad, pad), num_group=groups,
                           no_bias=True, name=f"{name}_conv2d")
    x = mx.sym.BatchNorm(x, fix_gamma=True, name=f"{name}_batchnorm")
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")


def declare(width: int) -> Backbone:
    """Declare the network at a width in percent; detection reads strides 16 and 32."""
    name = f"mobilenet{width / 100}"
    return Backbone(
        name="mobilenet" if width == 100 else name, family="mobilenet", depth=width,
        aliases=(name,) if width == 100 else (), build="ssdreg_mobilenet.v1:symbol",
        arguments={"width": width}, taps=taps(width), tap_strides=(16, 32),
        presets=PRESETS.get(width, ()), paper=PAPER)


BACKBONES = tuple(declare(width) for width in WIDTHS)
