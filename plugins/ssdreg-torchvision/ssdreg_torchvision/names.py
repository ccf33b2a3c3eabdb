"""torchvision's names of parameters, turned into those of the symbols here.

Each function takes the arrays of a state dict and returns them by MXNet's names. A module of
torchvision's stands for a layer, of a convolution or of a batch normalisation behind one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from ssdreg_mobilenet.v3 import NETWORKS

from ssdreg_torchvision.declaring import SSDLITE_SIZE, SSDLITE_TAPS, VGG_TAPS

if TYPE_CHECKING:
    import numpy as np

#: Each of torchvision's modules with the layer here.
Layers = Iterator[tuple[str, str]]

#: What PyTorch calls a batch norm's parameters, and what MXNet does.
BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
              "running_var": "moving_var"}
#: A count of batches that batch norm keeps, and needs only to train without a momentum.
COUNTER = "num_batches_tracked"
#: The places of VGG's convolutions in torchvision's sequence, by group.
VGG_GROUPS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21))
#: The places of what torchvision counts among the extra layers: the fifth group, fc6 and fc7.
VGG_TAIL = {"1": "conv5_1", "3": "conv5_2", "5": "conv5_3", "7.1": "fc6", "7.3": "fc7"}
#: The scale of the L2 normalisation, which is a vector there and has a map's axes here.
VGG_SCALE = "backbone.scale_weight"
#: Levels that are made behind the taps, and all levels.
EXTRAS, LEVELS = 4, 6


def ssd300_vgg16(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the arrays of ``ssd300_vgg16``."""
    renamed = _renamed(arrays, chain(_vgg(), _predictors(VGG_TAPS, "", "")))
    renamed[f"{VGG_TAPS[0]}_scale"] = arrays[VGG_SCALE].reshape(1, -1, 1, 1)
    return renamed


def ssdlite320_mobilenet_v3_large(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the arrays of ``ssdlite320_mobilenet_v3_large``."""
    return _renamed(arrays, chain(
        _mobilenet(), _predictors(SSDLITE_TAPS, ".1", ""),
        _predictors(SSDLITE_TAPS, ".0.0", "_dw_conv"), _predictors(SSDLITE_TAPS, ".0.1", "_dw_bn")))


def _renamed(arrays: Mapping[str, np.ndarray], layers: Layers) -> dict[str, np.ndarray]:
    """Rename the parameters of all layers; what is missing is left out."""
    names = dict(layers)
    renamed = {}
    for name, array in arrays.items():
        module, _, parameter = name.rpartition(".")
        if module not in names or parameter == COUNTER:
            continue
        if f"{module}.running_mean" in arrays:
            parameter = BATCH_NORM[parameter]
        renamed[f"{names[module]}_{parameter}"] = array
    return renamed


def _vgg() -> Layers:
    """Yield VGG's layers, and those of the levels behind it."""
    for group, places in enumerate(VGG_GROUPS, start=1):
        for number, place in enumerate(places, start=1):
            yield f"backbone.features.{place}", f"conv{group}_{number}"
    for place, name in VGG_TAIL.items():
        yield f"backbone.extra.0.{place}", name
    for extra in range(1, EXTRAS + 1):
        for place, size in ((0, "1x1"), (2, "3x3")):
            yield f"backbone.extra.{extra}.{place}", f"multi_feat_{extra + 1}_conv_{size}_conv"


def _mobilenet() -> Layers:
    """Yield MobileNet's layers, and those of the levels behind it.

    torchvision cuts the network behind the expansion of its first block at stride 32: what comes
    before is ``features.0``, the rest ``features.1``.
    """
    network = NETWORKS[SSDLITE_SIZE]
    cut = next(index for index, block in enumerate(network.blocks)
               if f"block{index + 1}_expand_{block.activation}" == SSDLITE_TAPS[0])
    yield from _normalized("backbone.features.0.0", "stem")
    for index, block in enumerate(network.blocks):
        parts = ["expand"] if block.inside != network.input_channels(index) else []
        parts += ["depthwise", *(["gate"] if block.gated else []), "project"]
        for place, part in enumerate(parts):
            module = (f"backbone.features.0.{index + 1}.block.{place}" if index < cut
                      else f"backbone.features.1.{index - cut}.block.{place}")
            if index == cut:
                module = (f"backbone.features.0.{index + 1}" if part == "expand"
                          else f"backbone.features.1.0.{place}")
            if part == "gate":
                yield f"{module}.fc1", f"block{index + 1}_squeeze"
                yield f"{module}.fc2", f"block{index + 1}_excite"
            else:
                yield from _normalized(module, f"block{index + 1}_{part}")
    yield from _normalized(f"backbone.features.1.{len(network.blocks) - cut}", "head")
    for extra in range(EXTRAS):
        for place, part in enumerate(("conv_1x1", "conv_3x3_dw", "conv_3x3")):
            yield from _normalized(f"backbone.extra.{extra}.{place}",
                                   f"multi_feat_{extra + 2}_{part}")


def _normalized(module: str, name: str) -> Layers:
    """Yield a convolution and the batch normalisation behind it."""
    yield f"{module}.0", f"{name}_conv"
    yield f"{module}.1", f"{name}_bn"


def _predictors(taps: tuple[str, ...], place: str, part: str) -> Layers:
    """Yield one layer of the predictors of every level, for classes and for boxes."""
    features = (*taps, *(f"multi_feat_{level}_conv_3x3_relu"
                         for level in range(len(taps), LEVELS)))
    for level, feature in enumerate(features):
        for kind, short in (("classification", "cls"), ("regression", "loc")):
            yield (f"head.{kind}_head.module_list.{level}{place}",
                   f"{feature}_{short}_pred_conv{part}")
