"""The data augmentation of SSD, as numbers: what is done with them is in `ssdreg.data.transforms`.

Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2 "Data augmentation" and, for
the padding ("zoom out"), section 3.6; colour after Howard 2013, as their Caffe release has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from attrs.validators import and_, ge, instance_of, le, lt

from ssdreg.registry.converters import as_tuple

_PROBABILITY = and_(ge(0.0), le(1.0))


def _range(low: float, high: float) -> Callable[[Any, Any, tuple[float, float]], None]:
    """A validator for a pair of floats in `low` to `high`, the first below the second."""
    def check(_instance: Any, attribute: Any, value: tuple[float, float]) -> None:
        if len(value) != 2 or not low <= value[0] < value[1] <= high:
            raise ValueError(f"{attribute.name} is two rising numbers in {low:g} to {high:g}, "
                             f"not {value}")
    return check


def _check_overlaps(_instance: object, _attribute: object, value: tuple[float, ...]) -> None:
    if not value or not all(0 <= overlap < 1 for overlap in value):
        raise ValueError(f"crop_overlaps are one or more IoU from 0 to below 1, not {value}")


@frozen
class Augmentation:
    """Random color, padding, crop and mirror; see `ssdreg.data.transforms`.

    The defaults are the published recipe. An image is cropped with `crop_probability`; of its seven
    choices (whole image, any patch, patches of a minimal IoU of 0.1 to 0.9 with an object) one is
    the whole image, hence 6/7. `crop_overlaps` are those minimal IoU, 0 meaning any patch; another
    one is tried when one finds nothing in `crop_trials`. `crop_scale` is the side of a patch of
    square shape relative to the image: the paper's 0.1 of the area, 0.3 in the release. Objects
    stay while their center lies in the patch. `pad_scale` is the largest side of the canvas
    relative to the image (4: sixteen times the area), filled with the grey `pad_value` (0 to 255).

    Colors change each with `color_probability`, evenly between two limits: brightness by
    `lightness` of 255 more or less, contrast and saturation by a factor of 1 - x to 1 + x, hue by
    as many steps of OpenCV, of which a circle has 180.

    Beyond the paper, and off by default: `grey_probability` takes the colors away,
    `mosaic_probability` puts three other images beside it, four windows around a cross, and
    `cutout_probability` fills a square with grey whose side is `cutout_scale` of the shorter one.
    """

    crop_probability: float = field(default=6 / 7, validator=_PROBABILITY)
    crop_overlaps: tuple[float, ...] = field(default=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
                                             converter=as_tuple, validator=_check_overlaps)
    crop_scale: tuple[float, float] = field(default=(0.3, 1.0), converter=as_tuple,
                                            validator=_range(0.0, 1.0))
    crop_aspect: tuple[float, float] = field(default=(0.5, 2.0), converter=as_tuple,
                                             validator=_range(0.0, 100.0))
    crop_trials: int = field(default=50, validator=and_(instance_of(int), ge(1)))
    pad_probability: float = field(default=0.5, validator=_PROBABILITY)
    pad_scale: float = field(default=4.0, validator=ge(1.0))
    pad_value: int = field(default=127, validator=and_(instance_of(int), ge(0), le(255)))
    mirror_probability: float = field(default=0.5, validator=_PROBABILITY)
    color_probability: float = field(default=0.5, validator=_PROBABILITY)
    hue: int = field(default=18, validator=and_(instance_of(int), ge(0), le(180)))
    saturation: float = field(default=0.5, validator=and_(ge(0.0), le(1.0)))
    lightness: int = field(default=32, validator=and_(instance_of(int), ge(0), le(255)))
    contrast: float = field(default=0.5, validator=and_(ge(0.0), lt(1.0)))
    grey_probability: float = field(default=0.0, validator=_PROBABILITY)
    mosaic_probability: float = field(default=0.0, validator=_PROBABILITY)
    cutout_probability: float = field(default=0.0, validator=_PROBABILITY)
    cutout_scale: float = field(default=0.25, validator=and_(ge(0.0), le(1.0)))


#: Recipes by name. The paper's needs hundreds of epochs to pay; `light` keeps objects near their
#: size, for small data sets and short trainings.
RECIPES: dict[str, Augmentation | None] = {
    "ssd": Augmentation(),
    "light": Augmentation(crop_probability=0.5, crop_scale=(0.6, 1.0),
                          pad_probability=0.3, pad_scale=1.5),
    "none": None,
}
