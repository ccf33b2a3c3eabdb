"""The interface of a backend."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ssdreg_runtime.backends.facts import ModelFacts


class Backend(Protocol):
    """Runs a detector.

    `name` is the backend's, `precision` that of the network's computation, `facts` the detector's
    metadata.
    """

    @property
    def name(self) -> str:
        """The backend's name: openvino, onnxruntime, or mxnet."""

    @property
    def precision(self) -> str:
        """The precision of the computation: float32, float16, bfloat16, int8, int8+bfloat16."""

    @property
    def facts(self) -> ModelFacts:
        """The detector's metadata."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Detect in RGB images of the network's size.

        (B, H, W, 3) uint8, B the batch of the facts, to (B, K, 6) float32: class, score,
        x1, y1, x2, y2 as shares of the image. Rows of class -1 are empty; the others are sorted by
        score, the highest first. Several threads may call it; they run one after another or at
        once.
        """
