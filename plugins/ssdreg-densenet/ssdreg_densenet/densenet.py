"""DenseNet-BC (Huang et al., Densely Connected Convolutional Networks, 2017).

The names of parameters and nodes are those of the networks that MXNet users have trained, so
that their checkpoints load. A stage is a dense block and ends in the concatenation of its last
unit; the transition behind it, which halves channels and resolution, opens the next stage. Where
a stage ends follows from its units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Backbone, Extra, Preset, StopsAt, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx

PAPER = "https://arxiv.org/abs/1608.06993"
BOTTLENECK = 4  # a unit's 1x1 convolution makes four times the channels that the unit adds
BATCH_NORM = {"eps": 2e-5, "momentum": 0.9}

#: The levels that the author of MXNet's SSD example put behind DenseNets, at every input size.
EXTRAS = (Extra(256), Extra(256), Extra(256), Extra(128))
#: The presets of that configuration at these sizes; others get levels down to one cell.
PRESETS = (Preset(data_shape=300, extras=EXTRAS), Preset(data_shape=512, extras=EXTRAS))


@frozen
class DenseNet:
    """The parameters of a DenseNet: units per block, and the channels that a unit adds."""

    name: str
    units: tuple[int, ...]
    growth: int
    tap_strides: tuple[int, ...] = (16, 32)
    stops_at: StopsAt | None = None
    presets: tuple[Preset, ...] = ()

    @property
    def depth(self) -> int:
        """Layers with weights: stem, two a unit, a transition between blocks, the classifier."""
        return 1 + 2 * sum(self.units) + (len(self.units) - 1) + 1

    @property
    def stem(self) -> int:
        """Channels of the stem."""
        return 2 * self.growth

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at the end of each block; a transition halves what enters the next."""
        ends: list[int] = []
        for units in self.units:
            entering = ends[-1] // 2 if ends else self.stem
            ends.append(entering + units * self.growth)
        return tuple(ends)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The end of the stem and of every block, by its units."""
        blocks = enumerate(zip(self.units, self.channels), start=1)
        return (Tap(0, 2, self.stem, "relu0"),
                *(Tap(stage, 2 ** (stage + 1), channels, concat_name(stage, units))
                  for stage, (units, channels) in blocks))


VARIANTS = (
    # of the author of MXNet's SSD example, for detection at strides 8 and 16; in no paper
    DenseNet("densenet-tiny", (6, 12, 18, 12), growth=16, tap_strides=(8, 16), presets=PRESETS,
             stops_at=StopsAt(16, "the published detector reads strides 8 and 16, for small "
                                  "objects; its last block has never been part of it")),
    DenseNet("densenet121", (6, 12, 24, 16), growth=32, presets=PRESETS),
    DenseNet("densenet169", (6, 12, 32, 32), growth=32),
    DenseNet("densenet201", (6, 12, 48, 32), growth=32),
    DenseNet("densenet161", (6, 12, 36, 24), growth=48),
)


def concat_name(stage: int, unit: int) -> str:
    """Return the node that joins what a unit makes to what entered it, both counted from 1."""
    return f"DBstage{stage}_concat{unit}"


def symbol(variant: DenseNet, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = sym.Variable("data")
    x = sym.BatchNorm(x, fix_gamma=True, name="bn_data", **BATCH_NORM)
    x = sym.Convolution(x, num_filter=variant.stem, kernel=(7, 7), stride=(2, 2), pad=(3, 3),
                        no_bias=True, name="conv0")
    x = _norm_relu(x, "bn0", "relu0")
    x = sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name="pooling0")
    for stage, (units, channels) in enumerate(zip(variant.units, variant.channels), start=1):
        for unit in range(1, units + 1):
            name = f"DBstage{stage}_unit{unit}"
            added = _conv(x, name, 1, BOTTLENECK * variant.growth, kernel=1)
            added = _conv(added, name, 2, variant.growth, kernel=3)
            x = sym.Concat(x, added, dim=1, name=concat_name(stage, unit))
        if stage < len(variant.units):
            x = _conv(x, f"TBstage{stage}", 1, channels // 2, kernel=1)
            x = sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg",
                            name=f"TBstage{stage}_pool{stage}")
    x = _norm_relu(x, "bn1", "relu1")
    x = sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    x = sym.FullyConnected(sym.Flatten(x, name="flatten0"), num_hidden=num_classes, name="fc1")
    return sym.SoftmaxOutput(x, name="softmax")


def _norm_relu(x: mx.sym.Symbol, norm: str, relu: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.BatchNorm(x, fix_gamma=False, name=norm, **BATCH_NORM)
    return mx.sym.Activation(x, act_type="relu", name=relu)


def _conv(x: mx.sym.Symbol, block: str, index: int, channels: int, kernel: int) -> mx.sym.Symbol:
    """Normalise, activate, convolve: the `index`-th of a block, its resolution kept."""
    from ssdreg.mx import mx
    x = _norm_relu(x, f"{block}_bn{index}", f"{block}_relu{index}")
    pad = kernel // 2
    return mx.sym.Convolution(x, num_filter=channels, kernel=(kernel, kernel), pad=(pad, pad),
                              no_bias=True, name=f"{block}_conv{index}")


def declare(variant: DenseNet) -> Backbone:
    """Declare a DenseNet of these numbers.

    Its growth rate makes the family: a wider network has more parameters than a deeper one.
    """
    return Backbone(
        name=variant.name, family=f"densenet-k{variant.growth}", depth=variant.depth,
        build="ssdreg_densenet.densenet:symbol", arguments={"variant": variant},
        taps=variant.taps, tap_strides=variant.tap_strides, stops_at=variant.stops_at,
        presets=variant.presets, paper=PAPER)


BACKBONES = tuple(declare(variant) for variant in VARIANTS)
