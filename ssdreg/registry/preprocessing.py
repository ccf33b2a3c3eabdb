"""The per-channel mean and standard deviation that turn pixels into network input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    import numpy as np


def _three_floats(values: tuple[float, ...]) -> tuple[float, ...]:
    # a text has letters, which may be digits
    if isinstance(values, str) or any(isinstance(value, (bool, str)) for value in values):
        raise ValueError(f"mean and std have three numbers each in RGB order, not {values!r:.60}")
    return tuple(float(value) for value in values)


@frozen
class Preprocessing:
    """``(pixel - mean) / std`` a channel, in RGB order, in units of 0 to 255.

    The default is the mean of Liu et al. 2016 (SSD) and no scaling. A mean is not negative and a
    standard deviation is positive, else ``ValueError``: no pixels have such ones, and MXNet's own
    iterators ignore them without a word.
    """

    mean: tuple[float, float, float] = field(default=(123.0, 117.0, 104.0),
                                             converter=_three_floats)
    std: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0), converter=_three_floats)

    @mean.validator
    def _check_mean(self, _attribute: object, value: tuple[float, ...]) -> None:
        if len(value) != 3 or not all(0 <= mean < math.inf for mean in value):
            raise ValueError(f"mean has three values of at least 0 in RGB order, not {value}")

    @std.validator
    def _check_std(self, _attribute: object, value: tuple[float, ...]) -> None:
        if len(value) != 3 or not all(0 < deviation < math.inf for deviation in value):
            raise ValueError(f"std has three values above 0 in RGB order, not {value}")

    def normalized(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels (..., H, W, 3) of 0 to 255 as a network's input (..., 3, H, W), float32."""
        import numpy as np
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        return np.moveaxis((pixels.astype(np.float32) - mean) / std, -1, -3)
