"""An exported file or folder against MXNet: the same images through both, compared row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ssdreg_runtime.backends import Backend, installed, open_backend
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.io.images import prepare

from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import MXNetBackend
from ssdreg.errors import DependencyError
from ssdreg.exporting.options import ONNX, OPENVINO, SUFFIXES
from ssdreg.exporting.parity import HALF, Parity, Tolerance, compare
from ssdreg.registry.engine import Engine

#: The share of boxes that may differ: near ties are decided otherwise in half precision.
MAY_DIFFER = {"float32": 0.0, "float16": 0.01}
#: Images at a time, where the file takes any number.
BATCH_SIZE = 4


def compare_file(source: DeployModel, file: Path, images: np.ndarray, threads: int | None = None,
                 runtimes: Sequence[str] | None = None) -> dict[str, Parity]:
    """Compare the detections of an exported file with MXNet's, by runtime.

    `images` (B, H, W, 3) are uint8, of the network's size. `runtimes` are by default all that are
    installed and read the file; each computes in the precision of the file, which also decides on
    the tolerance.
    """
    opened = [open_backend(file, name, threads) for name in
              (_runtimes(file) if runtimes is None else runtimes)]
    if not opened:
        return {}
    size = opened[0].facts.batch or BATCH_SIZE
    reference = run(MXNetBackend(source, size), images, size)
    rules = source.post_processing
    tolerance = Tolerance() if opened[0].facts.precision == "float32" else HALF
    return {backend.name: compare(reference, run(backend, images, size), rules, tolerance)
            for backend in opened}


def compare_picture_file(source: DeployModel, file: Path, pictures: Sequence[np.ndarray]
                         ) -> dict[str, Parity]:
    """Compare the objects that a file of ``--input image`` finds with MXNet's, by runtime.

    `pictures` (h, w, 3) are uint8, of any sizes: the file resizes them itself, for MXNet it is done
    here. Objects are compared inside the picture, where the file puts them.
    """
    size = BATCH_SIZE
    images = np.stack([prepare(picture, source.plan.data_shape).pixels for picture in pictures])
    reference = run(MXNetBackend(source, size), images, size)
    reference[:, :, 2:] = reference[:, :, 2:].clip(0, 1)
    parities = {}
    for name in _runtimes(file):
        backend = open_backend(file, name)
        assert isinstance(backend, PictureBackend)
        found = [backend.run_picture(picture) for picture in pictures]
        rows = np.full((len(found), max(map(len, found)), 6), -1, np.float32)
        for place, objects in zip(rows, found):
            place[:len(objects)] = objects
        tolerance = Tolerance() if backend.facts.precision == "float32" else HALF
        parities[name] = compare(reference, rows, source.post_processing, tolerance)
    return parities


def compare_folder(source: DeployModel, engine: Engine, folder: Path, images: np.ndarray
                   ) -> Parity:
    """Compare the detections of a folder that an engine wrote with MXNet's, in float32.

    `images` (B, H, W, 3) are uint8, of the network's size. Raises DependencyError where the engine
    cannot run what it writes.
    """
    if engine.detect_exported is None:
        raise DependencyError(f"--check runs what was written, and the engine {engine.name} does "
                              f"not run the folders that it writes: leave it out")
    reference = run(MXNetBackend(source, BATCH_SIZE), images, BATCH_SIZE)
    return compare(reference, engine.run_exported(folder, images), source.post_processing)


def _runtimes(file: Path) -> Sequence[str]:
    """Return the runtimes that are installed and read a file's format."""
    return [name for name in installed() if name == OPENVINO or file.suffix == SUFFIXES[ONNX]]


def agrees(parity: Parity, precision: str) -> bool:
    """Tell whether a comparison found no more differences than the precision allows."""
    return parity.mismatches <= MAY_DIFFER[precision] * parity.boxes


def run(backend: Backend, images: np.ndarray, size: int) -> np.ndarray:
    """Detect in groups of one size; the last is filled up with black images."""
    missing = -len(images) % size
    filled = np.concatenate([images, np.zeros_like(images[:1]).repeat(missing, axis=0)])
    detections = [backend.run(filled[start:start + size]) for start in range(0, len(filled), size)]
    return np.concatenate(detections)[:len(images)]
