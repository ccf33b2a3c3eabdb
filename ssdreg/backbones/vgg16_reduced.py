"""VGG-16 with its fully connected layers turned into convolutions, SSD's first backbone.

Simonyan and Zisserman, 2015; the reduction (fc6 as a dilated 3x3 convolution, fc7 as a 1x1 one)
is Liu et al., ParseNet, 2015. Parameter names are those that MXNet users have trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg.registry.backbone import Backbone, Extra, Preset, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Convolutions per group and their channels.
GROUPS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
FC_CHANNELS = 1024


def group_end(group: int) -> str:
    """Return the activation that ends a group of convolutions, groups counted from 1."""
    convolutions, _ = GROUPS[group - 1]
    return f"relu{group}_{convolutions}"


def symbol(num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = sym.Variable("data")
    for group, (convolutions, channels) in enumerate(GROUPS, start=1):
        for index in range(1, convolutions + 1):
            x = _conv_relu(x, f"{group}_{index}", f"conv{group}_{index}", channels,
                           kernel=(3, 3), pad=(1, 1))
        # group 3 rounds its resolution up, so that 300 pixels give 38 cells; the last group
        # keeps its resolution, because fc6 reads a dilated neighbourhood instead
        last = group == len(GROUPS)
        x = sym.Pooling(x, pool_type="max", name=f"pool{group}",
                        kernel=(3, 3) if last else (2, 2), stride=(1, 1) if last else (2, 2),
                        pad=(1, 1) if last else (0, 0),
                        pooling_convention="full" if group == 3 else "valid")
    x = _conv_relu(x, "6", "fc6", FC_CHANNELS, kernel=(3, 3), pad=(6, 6), dilate=(6, 6))
    x = _conv_relu(x, "7", "fc7", FC_CHANNELS, kernel=(1, 1))
    x = sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="global_pool")
    x = sym.Convolution(x, num_filter=num_classes, kernel=(1, 1), name="fc8")
    return sym.SoftmaxOutput(sym.Flatten(x, name="flatten0"), name="softmax")


def _conv_relu(x: mx.sym.Symbol, number: str, name: str, channels: int,
               **shape: tuple[int, int]) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=channels, name=name, **shape)
    return mx.sym.Activation(x, act_type="relu", name=f"relu{number}")


def _taps() -> tuple[Tap, ...]:
    last = len(GROUPS)
    taps = [Tap(group, 2 ** (group - 1), channels, group_end(group))
            for group, (_, channels) in enumerate(GROUPS[:-1], start=1)]
    # the fifth group goes on, at its resolution, through fc6 and fc7
    return (*taps, Tap(last, 2 ** (last - 1), FC_CHANNELS, f"relu{last + 2}"))


BACKBONE = Backbone(
    name="vgg16_reduced", family="vgg", depth=16, aliases=("vgg16", "vgg16_ssd"),
    build="ssdreg.backbones.vgg16_reduced:symbol", taps=_taps(),
    tap_strides=(8, 16), l2_scales={8: 20.0}, paper="https://arxiv.org/abs/1409.1556",
    presets=(
        # SSD300 (Liu et al., 2016) ends with unpadded convolutions: 5x5, 3x3, 1x1
        Preset(data_shape=300,
               extras=(Extra(512), Extra(256), Extra(256, 1, 0), Extra(256, 1, 0)),
               steps=(8, 16, 32, 64, 100, 300)),
        # SSD512 as MXNet's example has it: the last map repeats the 2x2 before it
        Preset(data_shape=512,
               extras=(Extra(512), Extra(256), Extra(256), Extra(256), Extra(256, 1, 1)),
               steps=(8, 16, 32, 64, 128, 256, 512)),
    ))
