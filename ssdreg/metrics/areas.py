"""Small, medium and large, as COCO divides boxes by their area."""

from __future__ import annotations

import numpy as np

#: The areas in square pixels up to which a box is small, and up to which it is medium: COCO's
#: ``Params.areaRng``, squares of 32 and 96 pixels.
SMALL, MEDIUM = 32.0**2, 96.0**2

SIZES = ("small", "medium", "large")


def size_indices(areas: np.ndarray) -> np.ndarray:
    """Return the (N,) places in `SIZES` of boxes with these areas in square pixels.

    A box of just 32 or 96 pixels squared counts as the smaller of the two; COCO's AP counts it
    as both.
    """
    return np.searchsorted(np.array([SMALL, MEDIUM]), areas, side="left")
