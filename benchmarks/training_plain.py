"""Plain PyTorch statements of four SSD networks, as somebody would write them by hand.

`network(name, plan)` returns a module from images (B, 3, H, W) to class scores and offsets of all
anchors. What stands behind the backbone (levels, anchors a cell, channels) is that of ssdreg's
plan, so that both train the same number of weights to a few percent; `benchmarks/training.py`
refuses a larger difference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1,
         activation: Callable[[], nn.Module] | None = nn.ReLU) -> nn.Sequential:
    """Return a convolution with batch normalisation and an activation."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Bottleneck(nn.Module):
    """A pre-activation bottleneck of ResNet v2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        width = outputs // 4
        self.begin = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False))
        self.shortcut = (None if inputs == outputs and stride == 1
                         else nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, data: Tensor) -> Tensor:
        begun = self.begin(data)
        return self.body(begun) + (data if self.shortcut is None else self.shortcut(begun))


class Inverted(nn.Module):
    """An inverted residual of EfficientNet-Lite."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *([conv(inputs, wide, 1, activation=nn.ReLU6)] if expansion > 1 else []),
            conv(wide, wide, kernel, stride, wide, nn.ReLU6),
            conv(wide, outputs, 1, activation=None))
        self.adds = inputs == outputs and stride == 1

    def forward(self, data: Tensor) -> Tensor:
        return self.body(data) + data if self.adds else self.body(data)


def resnet50() -> list[nn.Module]:
    """Return ResNet-50 v2 in parts, each ending in a tap."""
    layers: list[nn.Module] = [
        nn.BatchNorm2d(3), conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs, ends = 64, []
    for count, outputs, stride in ((3, 256, 1), (4, 512, 2), (6, 1024, 2), (3, 2048, 2)):
        for index in range(count):
            layers.append(Bottleneck(inputs, outputs, stride if index == 0 else 1))
            inputs = outputs
        ends.append(len(layers))
    return parts(layers, ends[2:])


def vgg16_reduced() -> list[nn.Module]:
    """Return the VGG-16 of the SSD paper in parts, each ending in a tap."""
    layers: list[nn.Module] = []
    inputs, ends = 3, []
    for block, (count, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        ends.append(len(layers))
        layers.append(nn.MaxPool2d(3, 1, 1) if block == 4
                      else nn.MaxPool2d(2, 2, ceil_mode=True))
    layers += [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU(),
               nn.Conv2d(1024, 1024, 1), nn.ReLU()]
    return parts(layers, [ends[3], len(layers)])


def mobilenet() -> list[nn.Module]:
    """Return MobileNet v1 in parts, each ending in a tap."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2)]
    inputs = 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                            *[(512, 1)] * 5, (1024, 2), (1024, 1)):
        layers.append(nn.Sequential(conv(inputs, inputs, 3, stride, inputs),
                                    conv(inputs, outputs, 1)))
        inputs = outputs
    return parts(layers, [len(layers) - 2, len(layers)])


def efficientnet_lite0() -> list[nn.Module]:
    """Return EfficientNet-Lite0 in parts, each ending in a tap."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2, activation=nn.ReLU6)]
    inputs, ends = 32, []
    for count, outputs, kernel, stride, expansion in (
            (1, 16, 3, 1, 1), (2, 24, 3, 2, 6), (2, 40, 5, 2, 6), (3, 80, 3, 2, 6),
            (3, 112, 5, 1, 6), (4, 192, 5, 2, 6), (1, 320, 3, 1, 6)):
        for index in range(count):
            layers.append(Inverted(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
            inputs = outputs
        ends.append(len(layers))
    return parts(layers, [ends[2], ends[4], ends[6]])


def parts(layers: list[nn.Module], ends: list[int]) -> list[nn.Module]:
    """Cut a list of layers behind the taps."""
    return [nn.Sequential(*layers[begin:end]) for begin, end in zip([0, *ends], ends)]


BACKBONES = {"resnet50": resnet50, "vgg16_reduced": vgg16_reduced, "mobilenet": mobilenet,
             "efficientnet-lite0": efficientnet_lite0}


class Detector(nn.Module):
    """A backbone, the levels behind it, and a predictor of classes and boxes on every level."""

    def __init__(self, backbone: list[nn.Module], plan) -> None:
        super().__init__()
        self.backbone = nn.ModuleList(backbone)
        taps = self._taps(torch.zeros(1, 3, *plan.data_shape))
        channels = [tap.shape[1] for tap in taps]
        # a convolution of so many channels behind a tap, where the plan has one
        self.projections = nn.ModuleList(
            conv(inputs, level.channels, 1) if level.channels != inputs else nn.Identity()
            for inputs, level in zip(channels, plan.levels))
        self.extras = nn.ModuleList()
        inputs = plan.levels[len(taps) - 1].channels
        for level in plan.levels[len(taps):]:
            half = max(128, level.channels // 2)
            self.extras.append(nn.Sequential(
                nn.Conv2d(inputs, half, 1), nn.ReLU(),
                nn.Conv2d(half, level.channels, 3, 2, 1), nn.ReLU()))
            inputs = level.channels
        self.classes, self.boxes = (nn.ModuleList(
            nn.Conv2d(level.channels, level.anchors_per_cell * outputs, 3, padding=1)
            for level in plan.levels) for outputs in (plan.num_classes + 1, 4))

    def _taps(self, data: Tensor) -> list[Tensor]:
        taps = []
        for part in self.backbone:
            data = part(data)
            taps.append(data)
        return taps

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor]:
        maps = [project(tap) for project, tap in zip(self.projections, self._taps(data))]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        scores, offsets = (torch.cat([predict(level).permute(0, 2, 3, 1).flatten(1)
                                      for predict, level in zip(predictors, maps)], 1)
                           for predictors in (self.classes, self.boxes))
        return scores, offsets


def network(name: str, plan) -> Detector:
    """Return the plain statement of a network; `plan` is `ssdreg.plan`'s."""
    return Detector(BACKBONES[name](), plan)
