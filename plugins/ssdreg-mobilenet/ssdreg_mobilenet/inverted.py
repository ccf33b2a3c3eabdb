"""Networks of inverted bottlenecks (Sandler et al., MobileNetV2, 2018) from tables of blocks.

A block widens its input with a 1x1 convolution, filters each channel by itself, and narrows the
result again; squeeze and excitation (Hu et al., 2018) may stand in between. What leaves a block
has no activation: the values of such a linear bottleneck spread too far for predictors, so every
tap on one is declared with a projection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import Tap
from ssdreg_mobilenet.stages import STEM, stage_ends

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Channels are multiples of this.
DIVISOR = 8
#: The divisor of the channels inside a gate.
SQUEEZE = 4
#: Channels of the projection behind a linear bottleneck, by the stride of its tap.
PROJECTIONS = {2: 32, 4: 64, 8: 128, 16: 256, 32: 256}


@frozen
class InvertedBlock:
    """One inverted bottleneck: `inside` channels wide in its middle, `channels` at its end.

    It adds its input to its output where both have the same shape; `gated` blocks scale the
    middle by squeeze and excitation. `activation` is ``relu``, ``relu6`` or ``hswish``.
    """

    kernel: int
    inside: int
    channels: int
    stride: int = 1
    activation: str = "relu6"
    gated: bool = False


@frozen
class InvertedNetwork:
    """A stem, blocks, a last 1x1 convolution, and fully connected layers.

    `head` are the channels of that convolution, `hidden` those of a layer between it and the
    classifier (0: none). `activation` is that of all three, `epsilon` batch normalisation's.
    """

    stem: int
    blocks: tuple[InvertedBlock, ...]
    head: int
    hidden: int = 0
    activation: str = "relu6"
    epsilon: float = 1e-5

    def input_channels(self, index: int) -> int:
        """Return the channels that enter the `index`-th block, counted from 0."""
        return self.blocks[index - 1].channels if index else self.stem

    def is_residual(self, index: int) -> bool:
        """Tell whether the `index`-th block adds its input to its output."""
        block = self.blocks[index]
        return block.stride == 1 and block.channels == self.input_channels(index)

    def end(self, index: int) -> str:
        """Return the node that ends the `index`-th block, or the stem."""
        if index == STEM:
            return f"stem_{self.activation}"
        return f"block{index + 1}_{'sum' if self.is_residual(index) else 'project_bn'}"

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The end of the last block of every stage, and of a stem that is one by itself."""
        ends = stage_ends(block.stride for block in self.blocks)
        return tuple(Tap(stage, stride, self.input_channels(index + 1), self.end(index))
                     for stage, (stride, index) in enumerate(ends, start=1))

    @property
    def projections(self) -> dict[int, int]:
        """Channels of the projection, by stride, behind each tap that is a linear bottleneck."""
        ends = stage_ends(block.stride for block in self.blocks)
        return {stride: PROJECTIONS[stride] for stride, index in ends if index != STEM}


def rounded(channels: float) -> int:
    """Round to a multiple of `DIVISOR`, but not down by more than a tenth."""
    nearest = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest if nearest >= 0.9 * channels else nearest + DIVISOR


def symbol(network: InvertedNetwork, num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = _conv(sym.Variable("data"), network, "stem", network.stem, kernel=3, stride=2)
    x = _activate(x, network.activation, "stem")
    for index in range(len(network.blocks)):
        inner = _block(x, network, index)
        x = sym.elemwise_add(inner, x, name=network.end(index)) if network.is_residual(index) \
            else inner
    x = _activate(_conv(x, network, "head", network.head), network.activation, "head")
    x = sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool")
    x = sym.Flatten(x, name="flatten")
    if network.hidden:
        x = sym.FullyConnected(x, num_hidden=network.hidden, name="hidden")
        x = _activate(x, network.activation, "hidden")
    x = sym.FullyConnected(x, num_hidden=num_classes, name="fc")
    return sym.SoftmaxOutput(x, name="softmax")


def _block(x: mx.sym.Symbol, network: InvertedNetwork, index: int) -> mx.sym.Symbol:
    """Widen where the middle is wider than the input, filter, gate, narrow."""
    block, name = network.blocks[index], f"block{index + 1}"
    if block.inside != network.input_channels(index):
        x = _conv(x, network, f"{name}_expand", block.inside)
        x = _activate(x, block.activation, f"{name}_expand")
    x = _conv(x, network, f"{name}_depthwise", block.inside, kernel=block.kernel,
              stride=block.stride, groups=block.inside)
    x = _activate(x, block.activation, f"{name}_depthwise")
    if block.gated:
        x = _gate(x, name, block.inside)
    return _conv(x, network, f"{name}_project", block.channels)


def _gate(x: mx.sym.Symbol, name: str, channels: int) -> mx.sym.Symbol:
    """Scale each channel by a gate computed from all channels' means (Hu et al., 2018)."""
    from ssdreg.mx import mx
    sym = mx.sym
    # a global pooling is the same, but its backward pass is slow in MXNet
    gate = sym.mean(x, axis=(2, 3), keepdims=True, name=f"{name}_pool")
    gate = sym.Convolution(gate, num_filter=rounded(channels / SQUEEZE), kernel=(1, 1),
                           name=f"{name}_squeeze")
    gate = sym.Activation(gate, act_type="relu", name=f"{name}_squeeze_relu")
    gate = sym.Convolution(gate, num_filter=channels, kernel=(1, 1), name=f"{name}_excite")
    gate = _hard_sigmoid(gate, f"{name}_excite_hsigmoid")
    return sym.broadcast_mul(x, gate, name=f"{name}_gated")


def _conv(x: mx.sym.Symbol, network: InvertedNetwork, name: str, channels: int, kernel: int = 1,
          stride: int = 1, groups: int = 1) -> mx.sym.Symbol:
    """Convolve, padded alike on both sides, and normalise."""
    from ssdreg.mx import mx
    pad = kernel // 2
    x = mx.sym.Convolution(x, num_filter=channels, kernel=(kernel, kernel),
                           stride=(stride, stride), pad=(pad, pad), num_group=groups,
                           no_bias=True, name=f"{name}_conv")
    return mx.sym.BatchNorm(x, fix_gamma=False, eps=network.epsilon, momentum=0.9,
                            name=f"{name}_bn")


def _activate(x: mx.sym.Symbol, kind: str, name: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    name = f"{name}_{kind}"
    if kind == "relu6":
        # clip alone gives the same values, but takes longer: it branches at every sign
        x = mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")
        return mx.sym.clip(x, a_min=0.0, a_max=6.0, name=name)
    if kind == "hswish":
        return mx.sym.elemwise_mul(x, _hard_sigmoid(x, f"{name}_hsigmoid"), name=name)
    return mx.sym.Activation(x, act_type=kind, name=name)


def _hard_sigmoid(x: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    """Return ``relu6(x + 3) / 6``, in one pass over the values."""
    from ssdreg.mx import mx
    return mx.sym.hard_sigmoid(x, alpha=1 / 6, beta=0.5, name=name)
