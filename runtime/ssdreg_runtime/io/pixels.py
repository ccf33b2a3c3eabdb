"""Conversion of images to RGB with 8 bits a channel, as networks are trained on."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ssdreg_runtime.errors import DataError


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB, 8 bits a channel, itself where it is; transparency is dropped.

    Of 16 bits the upper 8 are kept, as OpenCV does. Raises DataError for an image of fractions,
    whose range is not known.
    """
    if image.mode == "F":
        raise DataError("its pixels are fractions, of which nobody says what is white: "
                        "save it with 8 or 16 bits a channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off at 255, which turns nearly everything white
        image = Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")
