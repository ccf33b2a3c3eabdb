"""An exported folder, run as its owner would run it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from ssdreg_torch.export import DETECTOR


def imported(folder: Path) -> ModuleType:
    """Return the exported file of a folder as a module; nothing is written beside it."""
    source = (folder / DETECTOR).read_text(encoding="utf-8")
    spec = importlib.util.spec_from_file_location("exported_detector", folder / DETECTOR)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(source, str(folder / DETECTOR), "exec"), module.__dict__)
    return module


def detect(folder: Path, images: np.ndarray) -> np.ndarray:
    """Return what an exported folder finds in images (B, H, W, 3) uint8: detections (B, N, 6).

    N is the greatest number of an image, and rows of -1 fill up the others.
    """
    network = imported(folder).load().eval()
    found = [rows.numpy() for image in images for rows in network.detect(
        torch.from_numpy(image.transpose(2, 0, 1).copy()).float()[None])]
    detections = np.full((len(found), max(map(len, found), default=0), 6), -1, np.float32)
    for place, rows in enumerate(found):
        detections[place, :len(rows)] = rows
    return detections
