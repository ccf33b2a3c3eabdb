"""MXNet as a backend: a deploy model bound, and what it says of itself."""

from __future__ import annotations

import os
import sys
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from ssdreg_runtime import backends
from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.inference.detector import BATCH_SIZE
from ssdreg_runtime.system.threads import VARIABLE

from ssdreg._version import __version__
from ssdreg.deploy.executor import Inference
from ssdreg.deploy.model import DeployModel
from ssdreg.engines import MXNET
from ssdreg.errors import SsdregError
from ssdreg.graph.nodes import Net

if TYPE_CHECKING:
    from ssdreg.mx import mx

class MXNetBackend:
    """A detector bound by MXNet: a `Backend` for any number of images.

    They run in groups of `batch_size`; a single one that is left runs alone, several as part of a
    whole group. Threads that run it wait for one another. Raises RunError when the parameters do
    not belong to the symbol, and SsdregError for a number of threads that MXNet cannot take any
    more.
    """

    name = MXNET

    def __init__(self, model: DeployModel, batch_size: int = BATCH_SIZE,
                 threads: int | None = None, context: mx.Context | None = None) -> None:
        _set_threads(threads)
        self.facts = facts_of(model)
        self.precision = self.facts.precision
        self._model, self._batch_size, self._context = model, batch_size, context
        # for each size an executor of its own: one that is bound anew to other sizes or
        # parameters keeps weights that batch norm was folded into
        self._bound: dict[int, Inference] = {}
        self._lock = Lock()
        # bound here, so that parameters that do not fit are refused when it is opened
        self._inference(1)

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        with self._lock:
            detections = [self._run(images[start:start + self._batch_size])
                          for start in range(0, len(images), self._batch_size)]
        return np.concatenate(detections)

    def _run(self, images: np.ndarray) -> np.ndarray:
        from ssdreg.mx import mx
        count = 1 if len(images) == 1 else self._batch_size
        batch = np.zeros((count, 3, *self.facts.data_shape), np.float32)
        batch[:len(images)] = self._model.plan.preprocessing.normalized(images)
        return self._inference(count).detect(mx.nd.array(batch))[:len(images)]

    def _inference(self, count: int) -> Inference:
        if count not in self._bound:
            self._bound[count] = Inference(self._model.symbol, self._model.params, count,
                                           self._model.plan.data_shape, self._context)
        return self._bound[count]


def facts_of(model: DeployModel) -> ModelFacts:
    """Return of a model what an exported file states of itself."""
    plan, rules = model.plan, model.post_processing
    return ModelFacts(
        classes=model.classes, data_shape=plan.data_shape, batch=None, backbone=plan.backbone,
        head=plan.head, threshold=rules.threshold, nms_threshold=rules.nms_threshold,
        nms_topk=rules.nms_topk, force_suppress=rules.force_suppress,
        mean=tuple(plan.preprocessing.mean), std=tuple(plan.preprocessing.std),
        precision=_precision(Net.of(model.symbol)), version=__version__)


def _precision(net: Net) -> str:
    """Return what a network computes in, by the operators that convert."""
    if any(node.op.startswith("_contrib_quantize") for node in net.nodes):
        return "int8"
    casts = [net.attrs(index) for index in net.find("amp_cast", "Cast")]
    return "bfloat16" if any(cast.text("dtype") == "bfloat16" for cast in casts) else "float32"


def offer_threads(threads: int | None) -> None:
    """Tell MXNet its number of threads, which it reads once, when it is imported."""
    if threads is not None and "mxnet" not in sys.modules:
        os.environ[VARIABLE] = str(backends.thread_count(threads))


def _set_threads(threads: int | None) -> None:
    """Raise SsdregError unless MXNet computes, or will, with this number of threads."""
    if threads is None:
        return
    count = backends.thread_count(threads)
    offer_threads(count)
    from ssdreg import mx as gate
    if gate.threads.count != count:
        raise SsdregError(f"MXNet computes with {gate.threads.count} threads in this process, and "
                          f"cannot change to {count} any more: set {VARIABLE}={count} before, or "
                          f"leave threads out")
