"""A worker that detects with one backend: ``python -m`` this module.

Its job is ``{"backend", "precision", "model", "images", "batch", "threads"}``: the model is a run's
folder for MXNet, a model file for the others. Images are uint8 at the network's size, so that what
is timed is normalising, the network and post-processing, up to detections in NumPy's hands.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdreg.bench.protocol import Ready, serve
from ssdreg.bench.workload import LOOKED_AT, batches
from ssdreg.errors import BenchError, SsdregError

if TYPE_CHECKING:
    from ssdreg_runtime.backends import Backend


def prepare(job: Mapping[str, Any]) -> Ready:
    """Open the backend and look at all images once.

    Raises BenchError where it computes in another precision than the table would say.
    """
    backend = _open(job)
    if backend.precision != job["precision"]:
        raise BenchError(f"{job['model']} is computed in {backend.precision}, not in "
                         f"{job['precision']}")
    looked_at = batches(np.load(job["images"])[:LOOKED_AT], job["batch"])
    detections = np.concatenate([backend.run(images) for images in looked_at])
    coming = cycle(looked_at)
    return ({"precision": backend.precision, "boxes": int((detections[..., 0] >= 0).sum())},
            lambda: backend.run(next(coming)))


def _open(job: Mapping[str, Any]) -> Backend:
    if job["backend"] == "mxnet":
        from ssdreg.deploy.model import open_deploy_model
        from ssdreg.deploy.mxnet_backend import MXNetBackend
        return MXNetBackend(open_deploy_model(job["model"]), job["batch"])
    from ssdreg_runtime.backends import open_backend
    # an exported file states its own precision
    precision = "bfloat16" if job["precision"] == "bfloat16" else "auto"
    return open_backend(job["model"], job["backend"], job["threads"], precision)


if __name__ == "__main__":
    sys.exit(serve(prepare, SsdregError))
