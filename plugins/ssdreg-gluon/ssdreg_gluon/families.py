"""The families of the zoos' networks: name patterns, order by depth or width, papers.

A name that matches no pattern is not offered. Left out on purpose, of GluonCV's classifiers:

- NASNet, DLA and HRNet are no chains of stages: paths go around every cell, all levels lead to
  the classifier, resolutions run side by side. The end of a stage cannot be proven there.
- Residual attention networks scale their masks to the sizes they have at 224x224.
- ``resnet50_v1b_gn`` and ``resnet101_v1b_gn`` cannot become a symbol.
- Pruned and quantised networks, and those for the 32x32 images of CIFAR.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from ssdreg import StopsAt

#: Channels of the projections behind linear bottlenecks, by the stride of their tap.
LINEAR = ((2, 32), (4, 64), (8, 128), (16, 256), (32, 256))
#: This convolution has up to four tenths of a narrow network's weights.
WIDENED = StopsAt(32, "the 1x1 convolution behind the last block widens its map for the "
                      "classifier; detection reads the block itself")


@frozen
class Family:
    """Networks that differ in depth or width only.

    `pattern` matches their names; its group is the depth or, with a dot in it, the width. Where
    it has none, `depth` is the network's. `projections` and `stops_at` are those of
    `ssdreg.Backbone`.
    """

    name: str
    pattern: str
    paper: str
    depth: int = 1
    projections: tuple[tuple[int, int], ...] = field(default=())
    stops_at: StopsAt | None = None

    def depth_of(self, network: str) -> int | None:
        """Return the number that orders a network in its family; None if it is not of it."""
        match = re.fullmatch(self.pattern, network)
        if match is None:
            return None
        if not match.groups():
            return self.depth
        number = match.group(1)
        return round(100 * float(number)) if "." in number else int(number)


RESNET = "https://arxiv.org/abs/1512.03385"
RESNET_V2 = "https://arxiv.org/abs/1603.05027"
RESNET_TRICKS = "https://arxiv.org/abs/1812.01187"
RESNEXT = "https://arxiv.org/abs/1611.05431"
RESNEST = "https://arxiv.org/abs/2004.08955"
SENET = "https://arxiv.org/abs/1709.01507"
VGG = "https://arxiv.org/abs/1409.1556"
DENSENET = "https://arxiv.org/abs/1608.06993"
SQUEEZENET = "https://arxiv.org/abs/1602.07360"
MOBILENET_V3 = "https://arxiv.org/abs/1905.02244"

FAMILIES = (
    Family("alexnet", "alexnet", "https://arxiv.org/abs/1404.5997", depth=8),
    Family("vgg", r"vgg(\d+)", VGG),
    Family("vgg-bn", r"vgg(\d+)_bn", VGG),
    Family("googlenet", "googlenet", "https://arxiv.org/abs/1409.4842", depth=22),
    Family("inception", "inceptionv3", "https://arxiv.org/abs/1512.00567", depth=48),
    Family("xception", "xception", "https://arxiv.org/abs/1610.02357", depth=65),
    Family("xception", r"xception(\d+)", "https://arxiv.org/abs/1610.02357"),
    Family("squeezenet-1.0", r"squeezenet1\.0", SQUEEZENET),
    Family("squeezenet-1.1", r"squeezenet1\.1", SQUEEZENET),
    Family("densenet", "densenet(121|169|201)", DENSENET),
    # three layers for each two of densenet201's channels: wider, larger, not as deep
    Family("densenet-wide", "densenet(161)", DENSENET),
    Family("mobilenet", r"mobilenet([\d.]+)", "https://arxiv.org/abs/1704.04861"),
    Family("mobilenet-v2", r"mobilenetv2_([\d.]+)", "https://arxiv.org/abs/1801.04381",
           projections=LINEAR, stops_at=WIDENED),
    Family("mobilenet-v3", "mobilenetv3_small", MOBILENET_V3, depth=1, projections=LINEAR),
    Family("mobilenet-v3", "mobilenetv3_large", MOBILENET_V3, depth=2, projections=LINEAR),
    Family("shufflenet-v1", "shufflenet_v1", "https://arxiv.org/abs/1707.01083"),
    Family("shufflenet-v2", "shufflenet_v2", "https://arxiv.org/abs/1807.11164",
           stops_at=WIDENED),
    Family("darknet", r"darknet(\d+)", "https://arxiv.org/abs/1804.02767"),
    Family("resnet-v1", r"resnet(\d+)_v1", RESNET),
    Family("resnet-v2", r"resnet(\d+)_v2", RESNET_V2),
    Family("resnet-v1b", r"resnet(\d+)_v1b", RESNET),
    Family("resnet-v1c", r"resnet(\d+)_v1c", RESNET_TRICKS),
    Family("resnet-v1d", r"resnet(\d+)_v1d", RESNET_TRICKS),
    Family("resnet-v1e", r"resnet(\d+)_v1e", RESNET_TRICKS),
    Family("resnet-v1s", r"resnet(\d+)_v1s", RESNET_TRICKS),
    Family("resnext-32x4d", r"resnext(\d+)_32x4d", RESNEXT),
    Family("resnext-64x4d", r"resnext(\d+)_64x4d", RESNEXT),
    Family("resnext-e-64x4d", r"resnext(\d+)e_64x4d", RESNEXT),
    Family("resnest", r"resnest(\d+)", RESNEST),
    Family("se-resnet-v1", r"se_resnet(\d+)_v1", SENET),
    Family("se-resnet-v2", r"se_resnet(\d+)_v2", SENET),
    Family("se-resnext-32x4d", r"se_resnext(\d+)_32x4d", SENET),
    Family("se-resnext-64x4d", r"se_resnext(\d+)_64x4d", SENET),
    Family("se-resnext-e-64x4d", r"se_resnext(\d+)e_64x4d", SENET),
    Family("senet", r"senet_(\d+)", SENET),
    Family("senet-e", r"senet_(\d+)e", SENET),
)
