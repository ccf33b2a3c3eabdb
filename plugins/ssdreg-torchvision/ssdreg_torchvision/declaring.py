"""torchvision's detectors with the numbers they are made of, and where their weights lie.

A file's name ends in the first eight digits of its SHA-256, and no more of it is published: they
detect a damaged download but no forgery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssdreg import DetectorWeights, Head, Preprocessing
from ssdreg_torchvision.coco import CLASSES

URL = "https://download.pytorch.org/models"

#: The nodes that feed detection: SSD's in VGG-16; and in MobileNetV3 the expansion of the first
#: block at stride 32, which is still at stride 16, and the last layer of the network.
VGG_TAPS = ("relu4_3", "relu7")
SSDLITE_SIZE, SSDLITE_TAPS = "large_reduced", ("block13_expand_hswish", "head_hswish")

FEW_RATIOS = (1.0, 2.0, 0.5)
MANY_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)

#: The sides of anchors as shares of the image, and that of a level behind the last.
SSD300_SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
SSDLITE_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
#: The mean of SSD300's images as torchvision has it, as shares of the brightest value.
SSD300_MEAN = (0.48235, 0.45882, 0.40784)
WHITE = 255


def sizes(scales: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return the sizes of each level: its scale, and the geometric mean of it and the next one."""
    return tuple((scale, math.sqrt(scale * following))
                 for scale, following in zip(scales, scales[1:]))


HEADS = (
    Head(name="torchvision_ssd", predict="ssdreg_torchvision.heads:predict",
         detect="ssdreg_torchvision.heads:detect",
         summary="SSD as torchvision has it: an anchor may be an object of several classes",
         paper="https://arxiv.org/abs/1512.02325"),
    Head(name="torchvision_ssdlite", predict="ssdreg_torchvision.heads:predict_lite",
         detect="ssdreg_torchvision.heads:detect_lite",
         summary="SSDLite as torchvision has it: an anchor may be an object of several classes",
         paper="https://arxiv.org/abs/1801.04381"),
)

DETECTORS = (
    DetectorWeights(
        name="ssd300_vgg16.coco", classes=CLASSES, backbone="vgg16_reduced",
        head="torchvision_ssd", data_shape=(300, 300),
        settings={
            "sizes": sizes(SSD300_SCALES),
            "ratios": (FEW_RATIOS, MANY_RATIOS, MANY_RATIOS, MANY_RATIOS, FEW_RATIOS, FEW_RATIOS),
            "nms_threshold": 0.45, "nms_topk": 400},
        preprocessing=Preprocessing(mean=tuple(WHITE * mean for mean in SSD300_MEAN)),
        url=f"{URL}/ssd300_vgg16_coco-b556d3b4.pth", sha256="b556d3b4",
        names="ssdreg_torchvision.names:ssd300_vgg16", licence="BSD-3-Clause",
        about="torchvision's COCO_V1: 25.1 box mAP on COCO val2017, as it states"),
    DetectorWeights(
        name="ssdlite320_mobilenet_v3_large.coco", classes=CLASSES,
        backbone=f"mobilenetv3_{SSDLITE_SIZE}", head="torchvision_ssdlite", data_shape=(320, 320),
        settings={
            "from_layers": (*SSDLITE_TAPS, "", "", "", ""), "sizes": sizes(SSDLITE_SCALES),
            "ratios": (MANY_RATIOS,) * 6, "nms_threshold": 0.55, "nms_topk": 300},
        preprocessing=Preprocessing(mean=(WHITE / 2,) * 3, std=(WHITE / 2,) * 3),
        url=f"{URL}/ssdlite320_mobilenet_v3_large_coco-a79551df.pth", sha256="a79551df",
        names="ssdreg_torchvision.names:ssdlite320_mobilenet_v3_large", licence="BSD-3-Clause",
        about="torchvision's COCO_V1: 21.3 box mAP on COCO val2017, as it states"),
)
