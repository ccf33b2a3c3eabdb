"""Inception v3 (Szegedy et al., Rethinking the Inception Architecture, 2016).

Blocks are data: each is a list of branches, a branch a chain of convolutions or a pooling.
Parameter names are those that MXNet users have trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from attrs import frozen

from ssdreg.registry.backbone import Backbone, Preset, Tap

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen
class Conv:
    """A convolution with batch normalisation and ReLU; `name` is relative to its block."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: tuple[int, int] = (0, 0)


@frozen
class Pool:
    """A 3x3 pooling."""

    kind: str
    stride: int = 1


@frozen
class Fork:
    """Two convolutions side by side at the end of a branch, both kept."""

    left: Conv
    right: Conv


BranchStep = Union[Conv, Pool, Fork]
MixedBlock = tuple[tuple[BranchStep, ...], ...]

STEM: tuple[Conv | Pool, ...] = (
    Conv("conv", 32, (3, 3), stride=2),
    Conv("conv_1", 32, (3, 3)),
    Conv("conv_2", 64, (3, 3), pad=(1, 1)),
    Pool("max", 2),
    Conv("conv_3", 80),
    Conv("conv_4", 192, (3, 3)),
    Pool("max", 2),
)


def _chain(prefix: str, *steps: tuple[int, tuple[int, int]],
           last_stride: int = 1) -> tuple[Conv, ...]:
    """Number a branch's convolutions as the checkpoints do; all keep their resolution.

    Only the last may have a stride, and then it is unpadded.
    """
    convs = []
    for index, (channels, kernel) in enumerate(steps):
        name = f"{prefix}conv" + (f"_{index}" if index else "")
        stride = last_stride if index == len(steps) - 1 else 1
        pad = (kernel[0] // 2, kernel[1] // 2) if stride == 1 else (0, 0)
        convs.append(Conv(name, channels, kernel, stride, pad))
    return tuple(convs)


def _block_a(projection: int) -> MixedBlock:
    return (_chain("", (64, (1, 1))),
            _chain("tower_", (48, (1, 1)), (64, (5, 5))),
            _chain("tower_1_", (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
            (Pool("avg"), *_chain("tower_2_", (projection, (1, 1)))))


def _block_c(inside: int) -> MixedBlock:
    row, column, out = (1, 7), (7, 1), 192
    return (_chain("", (out, (1, 1))),
            _chain("tower_", (inside, (1, 1)), (inside, row), (out, column)),
            _chain("tower_1_", (inside, (1, 1)), (inside, column), (inside, row),
                   (inside, column), (out, row)),
            (Pool("avg"), *_chain("tower_2_", (out, (1, 1)))))


def _block_e(pool: str) -> MixedBlock:
    def fork(prefix: str) -> Fork:
        return Fork(Conv(f"{prefix}mixed_conv", 384, (1, 3), pad=(0, 1)),
                    Conv(f"{prefix}mixed_conv_1", 384, (3, 1), pad=(1, 0)))
    return (_chain("", (320, (1, 1))),
            (*_chain("tower_", (384, (1, 1))), fork("tower_")),
            (*_chain("tower_1_", (448, (1, 1)), (384, (3, 3))), fork("tower_1_")),
            (Pool(pool), *_chain("tower_2_", (192, (1, 1)))))


_REDUCE_TO_16: MixedBlock = (
    _chain("", (384, (3, 3)), last_stride=2),
    _chain("tower_", (64, (1, 1)), (96, (3, 3)), (96, (3, 3)), last_stride=2),
    (Pool("max", 2),))

_REDUCE_TO_32: MixedBlock = (
    _chain("tower_", (192, (1, 1)), (320, (3, 3)), last_stride=2),
    _chain("tower_1_", (192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3)), last_stride=2),
    (Pool("max", 2),))

#: The mixed blocks of each stage; a stage's first block halves the resolution, but for the first.
STAGES: tuple[tuple[MixedBlock, ...], ...] = (
    (_block_a(32), _block_a(64), _block_a(64)),
    (_REDUCE_TO_16, _block_c(128), _block_c(160), _block_c(160), _block_c(192)),
    (_REDUCE_TO_32, _block_e("avg"), _block_e("max")),
)


def block_name(index: int) -> str:
    """Return the name of the `index`-th mixed block, counted from 0."""
    return "mixed" + (f"_{index}" if index else "")


def block_end(index: int) -> str:
    """Return the name of the concatenation that ends the `index`-th mixed block."""
    return f"ch_concat_{block_name(index)}_chconcat"


def symbol(num_classes: int = 1000) -> mx.sym.Symbol:
    """Build the classifier: ``data`` (B, 3, H, W) to ``softmax`` (B, num_classes)."""
    from ssdreg.mx import mx
    sym = mx.sym
    x = sym.Variable("data")
    pools = iter(("pool", "pool1"))
    for step in STEM:
        x = (_conv(x, step, step.name) if isinstance(step, Conv)
             else _pool(x, step, next(pools), pad=0))
    blocks = [block for stage in STAGES for block in stage]
    for index, block in enumerate(blocks):
        name = block_name(index)
        branches = [output for branch in block for output in _branch(x, branch, name)]
        x = sym.Concat(*branches, name=block_end(index))
    x = sym.Pooling(x, kernel=(8, 8), global_pool=True, pool_type="avg", name="global_pool")
    x = sym.FullyConnected(sym.Flatten(x, name="flatten"), num_hidden=num_classes, name="fc1")
    return sym.SoftmaxOutput(x, name="softmax")


def _branch(x: mx.sym.Symbol, steps: tuple[BranchStep, ...], block: str) -> list[mx.sym.Symbol]:
    for step in steps:
        if isinstance(step, Fork):
            return [_conv(x, conv, f"{block}_{conv.name}") for conv in (step.left, step.right)]
        if isinstance(step, Conv):
            x = _conv(x, step, f"{block}_{step.name}")
        else:
            x = _pool(x, step, f"{step.kind}_pool_{block}_pool", pad=1 if step.stride == 1 else 0)
    return [x]


def _conv(x: mx.sym.Symbol, conv: Conv, name: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=conv.channels, kernel=conv.kernel,
                           stride=(conv.stride, conv.stride), pad=conv.pad, no_bias=True,
                           name=f"{name}_conv2d")
    x = mx.sym.BatchNorm(x, fix_gamma=True, name=f"{name}_batchnorm")
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")


def _pool(x: mx.sym.Symbol, pool: Pool, name: str, pad: int) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    return mx.sym.Pooling(x, kernel=(3, 3), stride=(pool.stride, pool.stride), pad=(pad, pad),
                          pool_type=pool.kind, name=name)


def _channels(block: MixedBlock, entering: int) -> int:
    """Count what a block's concatenation holds when `entering` channels go in."""
    total = 0
    for branch in block:
        last = branch[-1]
        if isinstance(last, Fork):
            total += last.left.channels + last.right.channels
        else:
            total += last.channels if isinstance(last, Conv) else entering
    return total


def _taps() -> tuple[Tap, ...]:
    stem = [step for step in STEM if isinstance(step, Conv)]
    pools = [index for index, step in enumerate(STEM) if isinstance(step, Pool)]
    taps = []
    for stage, pool in enumerate(pools, start=1):
        before = STEM[pool - 1]
        assert isinstance(before, Conv)
        taps.append(Tap(stage, 2**stage, before.channels, f"{before.name}_relu"))
    channels, block_count = stem[-1].channels, 0
    for stage, blocks in enumerate(STAGES, start=len(taps) + 1):
        for block in blocks:
            channels = _channels(block, channels)
        block_count += len(blocks)
        taps.append(Tap(stage, 2**stage, channels, block_end(block_count - 1)))
    return tuple(taps)


BACKBONE = Backbone(
    name="inceptionv3", family="inception", depth=3, aliases=("inception_v3", "inception3"),
    build="ssdreg.backbones.inceptionv3:symbol", taps=_taps(),
    # small inputs leave little at stride 16; MXNet's example adds stride 8 below 448 pixels
    tap_strides=(8, 16, 32), paper="https://arxiv.org/abs/1512.00567",
    presets=(Preset(data_shape=512, tap_strides=(16, 32)),))
