"""SSD networks in Gluon's layers, with the structure and the parameter names of GluonCV's presets.

What `save_parameters` and `export` write of them is what GluonCV writes, so that files of its
forms can be made where it is not installed.
"""

from __future__ import annotations

import numpy as np
from support import reference_rule

from ssdreg.mx import mx

gluon, nn = mx.gluon, mx.gluon.nn

RATIOS = (1, 2, .5, 3, 1 / 3)
SIDE, CLASSES = 128, 3
STEPS = (16, 32, 64, 128)


class Predictor(gluon.HybridBlock):
    def __init__(self, outputs, **settings):
        super().__init__(**settings)
        with self.name_scope():
            self.predictor = nn.Conv2D(outputs, 3, padding=1)

    def hybrid_forward(self, F, x):  # noqa: N803
        return self.predictor(x)


class Anchors(gluon.HybridBlock):
    """A table of centres and sides in pixels, cut to the size of the map."""

    def __init__(self, level, sizes, step, cells, **settings):
        super().__init__(**settings)
        sides = self.sides(level, sizes[0], np.sqrt(sizes[0] * sizes[1]))
        table = [[[value for wide, high in sides
                   for value in ((column + .5) * step, (row + .5) * step, wide, high)]
                  for column in range(cells)] for row in range(cells)]
        self.anchors = self.params.get_constant(f"anchor_{level}", np.array(table)[None, None])

    @staticmethod
    def sides(level, first, second):
        return [(first, first), (second, second), *stretched(first)]

    def hybrid_forward(self, F, x, anchors):  # noqa: N803
        return F.slice_like(anchors, x * 0, axes=(2, 3)).reshape((1, -1, 4))


class LiteAnchors(Anchors):
    """GluonCV's "lite" anchors: a small square first, the second one last and not on level 0."""

    @staticmethod
    def sides(level, first, second):
        found = [(first / 2, first / 2), *stretched(first)]
        return [*found, (second, second)] if level else found


def stretched(side):
    return [(side * np.sqrt(ratio), side / np.sqrt(ratio)) for ratio in RATIOS[1:]]


class SSD(gluon.HybridBlock):
    """Predictors and anchors on the levels that `features` make, and their detections."""

    def __init__(self, features, classes, side, steps, anchors=Anchors, **settings):
        super().__init__(**settings)
        self.classes = classes
        sizes = np.linspace(.15, 1, len(steps) + 1) * side
        with self.name_scope():
            self.features = features()
            self.class_predictors = nn.HybridSequential()
            self.box_predictors = nn.HybridSequential()
            self.anchor_generators = nn.HybridSequential()
            for level, step in enumerate(steps):
                self.anchor_generators.add(anchors(
                    level, sizes[level:level + 2], step, max(16, 64 >> level)))
                count = len(anchors.sides(level, 1, 1))
                self.class_predictors.add(Predictor(count * (classes + 1)))
                self.box_predictors.add(Predictor(count * 4))

    def predictions(self, F, x):  # noqa: N803
        """Return scores (B, N, C + 1), offsets (B, N, 4) and anchors (1, N, 4) in pixels."""
        levels = self.features(x)
        found = [[F.flatten(F.transpose(predictor(level), (0, 2, 3, 1)))
                  for level, predictor in zip(levels, predictors)]
                 for predictors in (self.class_predictors, self.box_predictors)]
        anchors = [F.reshape(table(level), (1, -1))
                   for level, table in zip(levels, self.anchor_generators)]
        return (F.concat(*found[0], dim=1).reshape((0, -1, self.classes + 1)),
                F.concat(*found[1], dim=1).reshape((0, -1, 4)),
                F.concat(*anchors, dim=1).reshape((1, -1, 4)))

    def hybrid_forward(self, F, x):  # noqa: N803
        scores, offsets, anchors = self.predictions(F, x)
        boxes = F.contrib.box_decode(offsets, anchors, .1, .1, .2, .2, clip=-1, format="center")
        probabilities = F.softmax(scores, axis=-1)
        found = []
        for index in range(self.classes):
            score = F.slice_axis(probabilities, axis=-1, begin=index + 1, end=index + 2)
            found.append(F.concat(F.ones_like(score) * index, score, boxes, dim=-1))
        result = F.contrib.box_nms(
            F.concat(*found, dim=1), overlap_thresh=.45, topk=400, valid_thresh=.01, id_index=0,
            score_index=1, coord_start=2, force_suppress=False)
        return result.slice_axis(axis=1, begin=0, end=100)


# feature levels ----------------------------------------------------------------------------------


def expanded(name, taps, filters):
    """Take outputs of a network of the zoo by name, and levels behind them."""
    def make():
        network = gluon.model_zoo.vision.get_model(name)
        data = mx.sym.var("data")
        internals = network(data).get_internals()
        levels = [internals[f"{network.prefix}{tap}_output"] for tap in taps]
        for index, channels in enumerate(filters):
            x = levels[-1]
            for part, settings in (("expand_trans_", {"kernel": (1, 1)}),
                                   ("expand_", {"kernel": (3, 3), "pad": (1, 1),
                                                "stride": (2, 2)})):
                x = mx.sym.Convolution(x, num_filter=channels, no_bias=True,
                                       name=f"{part}conv{index}", **settings)
                x = mx.sym.BatchNorm(x, name=f"{part}bn{index}")
                x = mx.sym.Activation(x, act_type="relu", name=f"{part}relu{index}")
            levels.append(x)
        return gluon.SymbolBlock(levels, data, params=network.collect_params())
    return make


def convolution(channels, kernel=3, **settings):
    return nn.Conv2D(channels, kernel, **{"padding": kernel // 2, **settings})


def chain(*layers):
    block = nn.HybridSequential(prefix="")
    for layer in layers:
        block.add(layer)
    return block


class Scale(gluon.HybridBlock):
    def __init__(self, channels):
        super().__init__()
        with self.name_scope():
            self.scale = self.params.get("normalize_scale", shape=(1, channels, 1, 1))

    def hybrid_forward(self, F, x, scale):  # noqa: N803
        return F.broadcast_mul(F.L2Normalization(x, mode="channel", eps=1e-5), scale)


class DilatedVGG(gluon.HybridBlock):
    """VGG-16 with dilated layers, thinner than the real one, for 300 pixels."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            scale = np.array([.229, .224, .225]).reshape((1, 3, 1, 1)) * 255
            self.init_scale = self.params.get_constant("init_scale", scale)
            self.stages, self.extras = nn.HybridSequential(), nn.HybridSequential()
            for count, channels in ((2, 4), (2, 8), (3, 8), (3, 16), (3, 16)):
                self.stages.add(chain(*(layer for _ in range(count) for layer in (
                    convolution(channels), nn.Activation("relu")))))
            self.stages.add(chain(
                convolution(24, padding=6, dilation=6), nn.Activation("relu"),
                convolution(24, 1), nn.Activation("relu")))
            self.norm4 = Scale(16)
            for stride, pad in ((2, 1), (2, 1), (1, 0), (1, 0)):
                self.extras.add(chain(
                    convolution(8, 1), nn.Activation("relu"),
                    convolution(16, strides=stride, padding=pad), nn.Activation("relu")))

    def hybrid_forward(self, F, x, init_scale):  # noqa: N803
        halve = {"pool_type": "max", "pooling_convention": "full", "kernel": (2, 2),
                 "stride": (2, 2)}
        x = F.broadcast_mul(x, init_scale)
        for stage in self.stages[:3]:
            x = F.Pooling(stage(x), **halve)
        x = self.stages[3](x)
        levels = [self.norm4(x)]
        x = self.stages[4](F.Pooling(x, **halve))
        x = F.Pooling(x, **{**halve, "kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)})
        levels.append(self.stages[5](x))
        for extra in self.extras:
            levels.append(extra(levels[-1]))
        return levels


class Unit(gluon.HybridBlock):
    """A basic unit of ResNet v1b."""

    def __init__(self, channels, stride, shortcut):
        super().__init__()
        with self.name_scope():
            self.conv1 = convolution(channels, strides=stride, use_bias=False)
            self.bn1, self.relu1 = nn.BatchNorm(), nn.Activation("relu")
            self.conv2 = convolution(channels, use_bias=False)
            self.bn2, self.relu2 = nn.BatchNorm(), nn.Activation("relu")
            self.downsample = shortcut and chain(
                convolution(channels, 1, strides=stride, use_bias=False), nn.BatchNorm())

    def hybrid_forward(self, F, x):  # noqa: N803
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + (self.downsample(x) if self.downsample else x))


class ResNetV1b(gluon.HybridBlock):
    """ResNet v1b with its third stage at stride 8, thinner and shallower than the real one."""

    UNITS = (2, 2, 3, 2)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            stages = [chain(*(Unit(channels, stride if unit == 0 else 1, unit == 0 and index > 0)
                              for unit in range(count)))
                      for index, (count, channels, stride) in enumerate(
                          zip(self.UNITS, (8, 12, 16, 24), (1, 2, 1, 2)))]
            self.stage1 = chain(convolution(8, 7, strides=2, use_bias=False), nn.BatchNorm(),
                                nn.Activation("relu"), nn.MaxPool2D(3, 2, 1), *stages[:2])
            self.stage2 = chain(*stages[2:])
            self.more_stages = nn.HybridSequential()
            for pad in (1, 1, 0):
                self.more_stages.add(chain(
                    convolution(16, 1), nn.Activation("relu"),
                    convolution(16, strides=2, padding=pad), nn.Activation("relu")))

    def hybrid_forward(self, F, x):  # noqa: N803
        levels = [self.stage1(x)]
        levels.append(self.stage2(levels[0]))
        for stage in self.more_stages:
            levels.append(stage(levels[-1]))
        return levels


# preprocessing -----------------------------------------------------------------------------------

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Preprocess(gluon.HybridBlock):
    """What GluonCV's ``export_block`` puts in front of a network: pixels (B, H, W, 3), 0 to 255."""

    def __init__(self, mean=MEAN, std=STD):
        super().__init__()
        with self.name_scope():
            self.init_mean = self.params.get_constant("init_mean", np.reshape(mean, (1, 1, 1, 3)))
            self.init_scale = self.params.get_constant("init_scale", np.reshape(std, (1, 1, 1, 3)))

    def hybrid_forward(self, F, x, init_mean, init_scale):  # noqa: N803
        x = F.broadcast_div(F.broadcast_minus(x, init_mean), init_scale)
        return F.transpose(x, axes=(0, 3, 1, 2))


class Steps(gluon.HybridBlock):
    """Preprocessing of somebody's own: a function of the operators and the pixels."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def hybrid_forward(self, F, x):  # noqa: N803
        return self.steps(F, x)


def export(network, prefix, side, first=None, planes=False):
    """Export a network behind a block of preprocessing, as ``export_block`` does."""
    whole = network
    if first is not None:
        whole = nn.HybridSequential()
        first.initialize()
        whole.add(first)
        whole.add(network)
    whole.hybridize()
    whole(mx.nd.zeros((1, side, side, 3) if first is not None and not planes
                      else (1, 3, side, side)))
    whole.export(str(prefix))


# parameters and predictions ----------------------------------------------------------------------


def by_rule(network, side):
    """Give a network's parameters, those of GluonCV too, values by the rule."""
    network.initialize()
    network(mx.nd.zeros((1, 3, side, side)))
    for name, parameter in network._collect_params_with_prefix().items():
        if not isinstance(parameter, gluon.Constant):
            key = name.replace("running_", "moving_").replace(".", "_")
            parameter.set_data(mx.nd.array(reference_rule.fill(key, parameter.shape)))
    return network


def raw(network, data, side):
    """Return scores (B, C + 1, N), offsets (B, N * 4) and corners (N, 4) as shares of the image.

    Works on the network above and on GluonCV's own, layer by layer.
    """
    levels, classes = network.features(mx.nd.array(data)), network.class_predictors
    found = [np.concatenate([
        predictor(level).asnumpy().transpose(0, 2, 3, 1).reshape(len(data), -1)
        for level, predictor in zip(levels, predictors)], axis=1)
        for predictors in (classes, network.box_predictors)]
    center = np.concatenate([table(level).asnumpy().reshape(-1, 4)
                             for level, table in zip(levels, network.anchor_generators)])
    half = center[:, 2:] / 2
    corners = np.concatenate([center[:, :2] - half, center[:, :2] + half], axis=1) / side
    return found[0].reshape(len(data), len(corners), -1).transpose(0, 2, 1), found[1], corners


def named_activations(*units):
    """Return what GluonCV taps of a ResNet: by the name of the last unit's activation in v1.

    `units` are those of stages 3 and 4. In v2 a unit has more activations, and the names mean
    a place inside another unit.
    """
    return [f"stage{stage}_activation{count - 1}" for stage, count in zip((3, 4), units)]


RESNET50_V2 = ("resnet50_v2", named_activations(6, 3))

#: MobileNet's last two resolutions end in pairs 11 and 13; each of a pair has an activation.
MOBILENET = ("mobilenet0.25", [f"relu{2 * pair}_fwd" for pair in (11, 13)])


def network(features, side=SIDE, steps=STEPS, **settings):
    return by_rule(SSD(features, CLASSES, side, steps, **settings), side)
