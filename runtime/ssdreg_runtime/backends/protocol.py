"""What every backend is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ssdreg_runtime.backends.facts import ModelFacts


class Backend(Protocol):
    """Something that runs a detector.

    `name` is the backend's, `precision` what the network is computed in, `facts` what is known
    of the detector.
    """

    @property
    def name(self) -> str:
        """The backend's name: openvino, onnxruntime, or mxnet."""

    @property
    def precision(self) -> str:
        """What the network is computed in: float32, float16, bfloat16, int8, int8+bfloat16."""

    @property
    def facts(self) -> ModelFacts:
        """What is known of the detector."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Detect in RGB images of the network's size.

        (B, H, W, 3) uint8, of as many images as the facts say, to (B, K, 6) float32: class, score,
        x1, y1, x2, y2 as shares of the image. Rows of class -1 are empty; the others are best
        first. It may be called from several threads, which it then serves one after another or
        at once.
        """
