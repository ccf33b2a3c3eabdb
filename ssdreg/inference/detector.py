"""Detectors of runs, of old checkpoints and of exported files, on any backend."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from ssdreg_runtime import backends
from ssdreg_runtime.backends import AUTO, Backend
from ssdreg_runtime.backends.facts import PRECISIONS, ModelFacts
from ssdreg_runtime.backends.precisions import NO_BFLOAT16
from ssdreg_runtime.inference import detector as runtime
from ssdreg_runtime.system.processor import multiplies_bfloat16
from ssdreg_runtime.system.threads import VARIABLE

from ssdreg._version import __version__
from ssdreg.deploy.executor import Inference
from ssdreg.deploy.model import DeployModel, open_deploy_model
from ssdreg.errors import ExportError, ModelError, SsdregError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

MXNET = "mxnet"

#: The extensions of files that need no MXNet.
MODEL_FILES = (".onnx", ".xml")


class Detector(runtime.Detector):
    """A detector, ready to look at images: see `detect`.

    `path` is a run's folder, an old checkpoint (anything that `ssdreg.load_checkpoint` reads), a
    file that `ssdreg export` or `ssdreg quantize` wrote, or a `DeployModel` that is open. `backend`
    is one of

    - "mxnet", for all but exported files
    - "onnxruntime" or "openvino"; runs and checkpoints are exported to it in memory
    - "auto": the first of OpenVINO, ONNX Runtime and MXNet that is installed and can run it

    `threads` and `precision` are those of `ssdreg_runtime.backends.open_backend`. MXNet takes its
    number of threads when it is first imported and keeps it: another number is refused after that.
    `epoch` is a run's, the best by default; `context` a device for MXNet. `classes`, `data_shape`
    and `preprocessing` are for a checkpoint that does not tell them itself, as in
    `ssdreg.load_checkpoint`.

    Raises a SsdregError, one sentence, for what cannot be read, exported or run in this way.
    """

    def __init__(self, path: str | os.PathLike[str] | DeployModel, backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO, epoch: int | None = None,
                 context: mx.Context | None = None, classes: Sequence[str] | None = None,
                 data_shape: int | tuple[int, int] | None = None,
                 preprocessing: Preprocessing | None = None) -> None:
        self._use(open_backend(path, backend, threads, precision, epoch, context, classes=classes,
                               data_shape=data_shape, preprocessing=preprocessing))


class MXNetBackend:
    """A detector bound by MXNet: a `Backend` for any number of images.

    They run in groups of `batch_size`; a single one that is left runs alone, several as part of a
    whole group. Threads that run it wait for one another. Raises RunError when the parameters do
    not belong to the symbol, and SsdregError for a number of threads that MXNet cannot take any
    more.
    """

    name = MXNET

    def __init__(self, source: DeployModel, batch_size: int = runtime.BATCH_SIZE,
                 threads: int | None = None, context: mx.Context | None = None) -> None:
        _set_threads(threads)
        self.facts = facts_of(source)
        self.precision = self.facts.precision
        self._source, self._batch_size, self._context = source, batch_size, context
        # for each size an executor of its own: one that is bound anew to other sizes or
        # parameters keeps weights that batch norm was folded into
        self._bound: dict[int, Inference] = {}
        self._lock = Lock()
        # bound here, so that parameters that do not fit are refused when it is opened
        self._inference(1)

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        with self._lock:
            found = [self._run(images[start:start + self._batch_size])
                     for start in range(0, len(images), self._batch_size)]
        return np.concatenate(found)

    def _run(self, images: np.ndarray) -> np.ndarray:
        from ssdreg.mx import mx
        count = 1 if len(images) == 1 else self._batch_size
        preprocessing = self._source.plan.preprocessing
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1)
                     for values in (preprocessing.mean, preprocessing.std))
        batch = np.zeros((count, 3, *self.facts.data_shape), np.float32)
        np.subtract(images.transpose(0, 3, 1, 2), mean, out=batch[:len(images)])
        batch[:len(images)] /= std
        return self._inference(count).detect(mx.nd.array(batch))[:len(images)]

    def _inference(self, count: int) -> Inference:
        if count not in self._bound:
            self._bound[count] = Inference(self._source.symbol, self._source.params, count,
                                           self._source.plan.data_shape, self._context)
        return self._bound[count]


def facts_of(source: DeployModel) -> ModelFacts:
    """Say of a source what an exported file says of itself."""
    from ssdreg.export.attributes import Attributes
    from ssdreg.export.operators.detection import Rules
    plan = source.plan
    # MXNet leaves out what converts to bfloat16 unless it is told not to
    graph = json.loads(source.symbol.tojson(remove_amp_cast=False))
    last = graph["nodes"][graph["heads"][0][0]]
    threshold = Rules.read(Attributes(last.get("attrs", {}))).threshold
    return ModelFacts(
        classes=source.classes, data_shape=plan.data_shape, batch=None, backbone=plan.backbone,
        head=plan.head, threshold=threshold, nms_threshold=plan.nms_threshold,
        nms_topk=plan.nms_topk, force_suppress=plan.force_suppress,
        mean=tuple(plan.preprocessing.mean), std=tuple(plan.preprocessing.std),
        precision=_precision(graph["nodes"]), version=__version__)


def _precision(nodes: list[dict[str, Any]]) -> str:
    """Return what a symbol computes in, by the operators that convert."""
    if any(node["op"].startswith("_contrib_quantize") for node in nodes):
        return "int8"
    casts = [node.get("attrs", {}) for node in nodes if node["op"] in ("amp_cast", "Cast")]
    return "bfloat16" if any(cast.get("dtype") == "bfloat16" for cast in casts) else "float32"


def open_backend(path: str | os.PathLike[str] | DeployModel, backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO, epoch: int | None = None,
                 context: mx.Context | None = None, **told: Any) -> Backend:
    """Open what runs a detector; see `Detector` for the arguments and what is raised.

    `told` is what a checkpoint does not tell itself: `classes`, `data_shape`, `preprocessing`.
    """
    if backend not in (AUTO, MXNET, *backends.BACKENDS):
        raise ModelError(f"there is no backend {backend!r}: choose one of "
                         f"{', '.join((AUTO, MXNET, *backends.BACKENDS))}")
    if not isinstance(path, DeployModel) and Path(path).suffix.lower() in MODEL_FILES:
        if backend == MXNET:
            raise ModelError(f"{path} was exported, and MXNet cannot run it: give the run it was "
                             f"exported from, or use the backend onnxruntime or openvino")
        if epoch is not None:
            raise ModelError(f"{path} holds one epoch's parameters: an epoch is chosen when it "
                             f"is exported, `ssdreg export RUN --epoch {epoch}`")
        if any(value is not None for value in told.values()):
            raise ModelError(f"{path} knows its classes, input size and normalisation: these are "
                             f"given for checkpoints only")
        return backends.open_backend(path, backend, threads, precision)
    # before anything imports MXNet, which takes its threads then
    _offer_threads(threads)
    source = path if isinstance(path, DeployModel) else open_deploy_model(Path(path), epoch, **told)
    stored = facts_of(source).precision
    if backend == AUTO:
        return _first(source, stored, threads, precision, context)
    if backend == MXNET:
        return MXNetBackend(_in_precision(source, precision), threads=threads, context=context)
    if stored != "float32":
        raise ModelError(f"{source.name} was made for MXNet in {stored}: use the backend mxnet, or "
                         f"give the run that it was made from")
    return _exported(source, backend, threads, precision)


def _first(source: DeployModel, stored: str, threads: int | None, precision: str,
           context: mx.Context | None) -> Backend:
    """Open a source with the first backend that is installed and can run it."""
    candidates = (*backends.installed(), MXNET) if stored == "float32" else (MXNET,)
    for name in candidates[:-1]:
        try:
            return _exported(source, name, threads, precision)
        except (ExportError, ModelError):
            # an operator without a translation, or a precision that it does not have; what MXNet
            # says of it, where it cannot either, is said
            continue
    return MXNetBackend(_in_precision(source, precision), threads=threads, context=context)


def _exported(source: DeployModel, backend: str, threads: int | None, precision: str) -> Backend:
    """Export a source in memory and open it."""
    from ssdreg.export import Options, to_onnx
    # images run one by one: on a processor a batch of these takes as long as they do singly, and
    # OpenVINO runs a model of one size faster than one of any
    options = Options(batch=1, precision="float16" if precision == "float16" else "float32")
    try:
        model = to_onnx(source, options)
    except ExportError as error:
        raise ExportError(f"{error}; the backend mxnet runs it as it is") from error
    return backends.open_backend(model.SerializeToString(), backend, threads, precision,
                                 source.name)


def _in_precision(source: DeployModel, precision: str) -> DeployModel:
    """Return a source that MXNet computes in this precision."""
    stored = facts_of(source).precision
    if precision in (AUTO, stored):
        return source
    if precision not in PRECISIONS:
        raise ModelError(f"there is no precision {precision!r}: choose one of "
                         f"{', '.join((AUTO, *PRECISIONS))}")
    if precision != "bfloat16" or stored != "float32":
        raise ModelError(f"{source.name} is computed in {stored} by MXNet, not in {precision}: "
                         f"give a run that is; `ssdreg quantize RUN --backend mxnet` makes int8")
    if not multiplies_bfloat16():
        raise ModelError(f"{source.name}: {NO_BFLOAT16}")
    from ssdreg.quantize import bfloat16_mxnet
    return bfloat16_mxnet(source)


def _offer_threads(threads: int | None) -> None:
    """Tell MXNet its number of threads, which it reads once, when it is imported."""
    if threads is not None and "mxnet" not in sys.modules:
        os.environ[VARIABLE] = str(backends.thread_count(threads))


def _set_threads(threads: int | None) -> None:
    """Raise SsdregError unless MXNet computes, or will, with this number of threads."""
    if threads is None:
        return
    count = backends.thread_count(threads)
    _offer_threads(count)
    from ssdreg import mx as gate
    if gate.threads.count != count:
        raise SsdregError(f"MXNet computes with {gate.threads.count} threads in this process, and "
                          f"cannot change to {count} any more: set {VARIABLE}={count} before, or "
                          f"leave threads out")
