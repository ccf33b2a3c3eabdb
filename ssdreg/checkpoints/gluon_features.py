"""How GluonCV's SSD presets make their feature levels, as symbols.

Each function takes the shapes of a file's layers (names without ``features.``) and returns the
levels, the finest first, with the file's name of every parameter of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from ssdreg.mx import mx

Shapes = Mapping[str, tuple[int, ...]]

#: How many levels SSD300 makes behind VGG.
_EXTRAS_OF_300 = 4
#: A layer behind the network, in whatever scope.
_EXPANDED = re.compile(r"(?:.*_)?(expand_(?:trans_)?(?:conv|bn)\d+_\w+)")


@frozen(eq=False)
class Features:
    """Feature levels, and for every parameter they are computed from its key in the file.

    `network` is the name of the network that makes them.
    """

    network: str
    features: tuple[mx.sym.Symbol, ...]
    names: Mapping[str, str]


def expanded(name: str, network: mx.sym.Symbol, taps: Sequence[str], bare: Mapping[str, str],
             shapes: Shapes) -> Features:
    """Take `taps` of a network of the zoo, and levels behind them: 1x1 and 3x3 convolutions.

    `name` is the network's, `bare` gives its own name of a file's layer. Batch norm behind the
    convolutions is MXNet's with its defaults: gamma counts as 1.
    """
    internals = network.get_internals()
    features = [internals[f"{tap}_output"] for tap in taps]
    extras = {match[1]: key for key in shapes if (match := _EXPANDED.fullmatch(key))}
    names = {own: f"features.{key}" for own, key in
             (*((own, key) for key, own in bare.items()), *extras.items())}
    shapes = {own: shapes[key] for own, key in extras.items()}
    for index in count():
        if f"expand_conv{index}_weight" not in shapes:
            return Features(name, tuple(features), names)
        x = features[-1]
        for part, settings in (("expand_trans_", {}),
                               ("expand_", {"stride": (2, 2), "pad": (1, 1)})):
            if f"{part}conv{index}_weight" in shapes:
                x = _expand(x, part, index, shapes, **settings)
        features.append(x)
    raise AssertionError("the count ends")


def _expand(x: mx.sym.Symbol, part: str, index: int, shapes: Shapes,
            **settings: Any) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    outputs, _, *kernel = shapes[f"{part}conv{index}_weight"]
    x = mx.sym.Convolution(x, num_filter=outputs, kernel=tuple(kernel),
                           no_bias=f"{part}conv{index}_bias" not in shapes,
                           name=f"{part}conv{index}", **settings)
    if f"{part}bn{index}_gamma" in shapes:
        x = mx.sym.BatchNorm(x, name=f"{part}bn{index}")
    return mx.sym.Activation(x, act_type="relu", name=f"{part}relu{index}")


class _Layers:
    """Makes layers under the names of a file and notes which parameters they have."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes, self.names = shapes, dict[str, str]()

    def conv(self, x: mx.sym.Symbol, key: str, **settings: Any) -> mx.sym.Symbol:
        from ssdreg.mx import mx
        outputs, _, *kernel = self.shapes[f"{key}.weight"]
        bias = f"{key}.bias" in self.shapes
        name = self._note(key, "weight", *(["bias"] if bias else []))
        return mx.sym.Convolution(x, num_filter=outputs, kernel=tuple(kernel), no_bias=not bias,
                                  name=name, **settings)

    def relu(self, x: mx.sym.Symbol, key: str) -> mx.sym.Symbol:
        from ssdreg.mx import mx
        return mx.sym.Activation(x, act_type="relu", name=f"{_name(key)}_relu")

    def norm(self, x: mx.sym.Symbol, key: str) -> mx.sym.Symbol:
        from ssdreg.mx import mx
        name = self._note(key, "gamma", "beta")
        for mxnet, gluon in (("moving_mean", "running_mean"), ("moving_var", "running_var")):
            self.names[f"{name}_{mxnet}"] = f"features.{key}.{gluon}"
        return mx.sym.BatchNorm(x, fix_gamma=False, eps=1e-5, name=name)

    def _note(self, key: str, *parts: str) -> str:
        name = _name(key)
        self.names.update({f"{name}_{part}": f"features.{key}.{part}" for part in parts})
        return name


def _name(key: str) -> str:
    return key.replace(".", "_")


def _numbers(shapes: Shapes, pattern: str) -> list[int]:
    """Return the numbers, in order, that stand in a pattern's group."""
    return sorted({int(match[1]) for match in map(re.compile(pattern).fullmatch, shapes) if match})


def vgg_atrous(shapes: Shapes) -> Features:
    """Make the levels of VGG-16 with dilated layers, as the SSD paper has them.

    The scale in front of the network is left out: it belongs to the input's normalisation.
    """
    from ssdreg.mx import mx
    layers = _Layers(shapes)
    x, features = mx.sym.Variable("data"), []
    stages = _numbers(shapes, r"stages\.(\d+)\.0\.weight")
    dilated, last, tapped = stages[-1], stages[-2], stages[-3]
    for stage in stages:
        for layer in _numbers(shapes, rf"stages\.{stage}\.(\d+)\.weight"):
            key = f"stages.{stage}.{layer}"
            wide = shapes[f"{key}.weight"][2] > 1
            reach = 6 if stage == dilated else 1
            settings = {"pad": (reach, reach), "dilate": (reach, reach)} if wide else {}
            x = layers.relu(layers.conv(x, key, **settings), key)
        if stage == tapped:
            features.append(_scaled(x, layers))
        if stage != dilated:
            window = {"kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)} if stage == last else {
                "kernel": (2, 2), "stride": (2, 2)}
            x = mx.sym.Pooling(x, pool_type="max", pooling_convention="full",
                               name=f"stages_{stage}_pool", **window)
    features.append(x)
    extras = _numbers(shapes, r"extras\.(\d+)\.0\.weight")
    for extra in extras:
        first, second = _numbers(shapes, rf"extras\.{extra}\.(\d+)\.weight")
        x = layers.relu(layers.conv(x, f"extras.{extra}.{first}"), f"extras.{extra}.{first}")
        # SSD300 ends in two unpadded 3x3 convolutions, SSD512 in one 4x4 on a padded 2x2 map
        kernel = shapes[f"extras.{extra}.{second}.weight"][2]
        ending = len(extras) == _EXTRAS_OF_300 and extra >= 2
        stride, pad = (1, 0) if ending else (1, 1) if kernel > 3 else (2, 1)
        x = layers.relu(layers.conv(x, f"extras.{extra}.{second}", stride=(stride, stride),
                                    pad=(pad, pad)), f"extras.{extra}.{second}")
        features.append(x)
    return Features("gluoncv.vgg16_atrous", tuple(features), layers.names)


def _scaled(x: mx.sym.Symbol, layers: _Layers) -> mx.sym.Symbol:
    """Scale each cell's features to length 1, times a learnt factor per channel."""
    from ssdreg.mx import mx
    layers.names["norm4_scale"] = "features.norm4.scale"
    factor = mx.sym.Variable("norm4_scale", shape=layers.shapes["norm4.scale"], wd_mult=0.1)
    unit = mx.sym.L2Normalization(x, mode="channel", eps=1e-5, name="norm4")
    return mx.sym.broadcast_mul(unit, factor, name="norm4_scaled")


def resnet_v1b(shapes: Shapes) -> Features:
    """Make the levels of ResNet v1b (basic units), whose third stage keeps stride 8."""
    from ssdreg.mx import mx
    layers = _Layers(shapes)
    x = layers.conv(mx.sym.Variable("data"), "stage1.0", stride=(2, 2), pad=(3, 3))
    x = layers.relu(layers.norm(x, "stage1.1"), "stage1.1")
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max",
                       name="stage1_pool")
    features, units = [], 0
    # consecutive parts with their strides; a level is the end of a part
    for part, sections in (("stage1", ((4, 1), (5, 2))), ("stage2", ((0, 1), (1, 2)))):
        for section, stride in sections:
            for unit in _numbers(shapes, rf"{part}\.{section}\.(\d+)\.conv1\.weight"):
                x = _unit(x, layers, f"{part}.{section}.{unit}", stride if unit == 0 else 1)
                units += 1
        features.append(x)
    extras = _numbers(shapes, r"more_stages\.(\d+)\.0\.weight")
    for extra in extras:
        for layer in _numbers(shapes, rf"more_stages\.{extra}\.(\d+)\.weight"):
            key = f"more_stages.{extra}.{layer}"
            wide = shapes[f"{key}.weight"][2] > 1
            pad = 0 if extra == extras[-1] else 1
            settings = {"stride": (2, 2), "pad": (pad, pad)} if wide else {}
            x = layers.conv(x, key, **settings)
            following = f"more_stages.{extra}.{layer + 1}"
            if f"{following}.gamma" in shapes:
                x = layers.norm(x, following)
            x = layers.relu(x, key)
        features.append(x)
    # two convolutions a unit; the stem's and the classifier count too
    return Features(f"gluoncv.resnet{2 * units + 2}_v1b_ssd", tuple(features), layers.names)


def _unit(x: mx.sym.Symbol, layers: _Layers, key: str, stride: int) -> mx.sym.Symbol:
    """Make one basic unit: two 3x3 convolutions, and a shortcut, which may be a convolution."""
    from ssdreg.mx import mx
    y = layers.conv(x, f"{key}.conv1", stride=(stride, stride), pad=(1, 1))
    y = layers.relu(layers.norm(y, f"{key}.bn1"), f"{key}.bn1")
    y = layers.norm(layers.conv(y, f"{key}.conv2", pad=(1, 1)), f"{key}.bn2")
    if f"{key}.downsample.0.weight" in layers.shapes:
        x = layers.conv(x, f"{key}.downsample.0", stride=(stride, stride))
        x = layers.norm(x, f"{key}.downsample.1")
    return layers.relu(mx.sym.elemwise_add(x, y, name=f"{_name(key)}_sum"), key)
