"""A model that takes one picture as it is, run as if it took images of the network's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import field, frozen

from ssdreg_runtime.backends.facts import ModelFacts

#: Takes a picture (h, w, 3) uint8 and returns the arrays of `IMAGE_OUTPUTS`.
DetectPicture = Callable[[np.ndarray], Sequence[np.ndarray]]


@frozen(eq=False)
class PictureBackend:
    """A model of `ssdreg export --input image` as a `Backend`, of one image at a time.

    An image of the network's size is not changed by resizing, so that the model gives for it what
    one with the input ``images`` gives.
    """

    facts: ModelFacts
    precision: str
    name: str
    _detect: DetectPicture = field(repr=False)
    #: What the model reads and does not keep alive.
    _reads: object = field(default=None, repr=False)

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`; there are no empty rows."""
        return self.run_picture(images[0])[None]

    def run_picture(self, picture: np.ndarray) -> np.ndarray:
        """Detect in a picture (h, w, 3) uint8 of any size; return rows (N, 6) float32."""
        boxes, scores, labels = self._detect(np.ascontiguousarray(picture))
        height, width = picture.shape[:2]
        shares = boxes / np.array([width, height] * 2, np.float32)
        return np.column_stack([labels.astype(np.float32), scores, shares])
