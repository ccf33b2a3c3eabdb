"""Detectors of runs, of old checkpoints and of exported files, on any backend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreg_runtime import backends
from ssdreg_runtime.backends import AUTO, Backend
from ssdreg_runtime.backends.facts import PRECISIONS
from ssdreg_runtime.backends.precisions import NO_BFLOAT16
from ssdreg_runtime.inference import detector as runtime
from ssdreg_runtime.system.processor import multiplies_bfloat16

from ssdreg.deploy.devices import devices
from ssdreg.deploy.model import DeployModel, open_deploy_model
from ssdreg.deploy.mxnet_backend import MXNET, MXNetBackend, facts_of, offer_threads
from ssdreg.errors import ExportError, ModelError, SsdregError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

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
    offer_threads(threads)
    model = path if isinstance(path, DeployModel) else open_deploy_model(Path(path), epoch, **told)
    stored = facts_of(model).precision
    if backend == AUTO:
        return _first(model, stored, threads, precision, context)
    if backend == MXNET:
        return MXNetBackend(_in_precision(model, precision), threads=threads, context=context)
    if stored != "float32":
        raise ModelError(f"{model.name} was made for MXNet in {stored}: use the backend mxnet, or "
                         f"give the run that it was made from")
    return _exported(model, backend, threads, precision)


def choose_device(path: str | os.PathLike[str], backend: str, ctx: str
                  ) -> tuple[str, mx.Context | None]:
    """Return the backend and MXNet's device that run a detector where `ctx` names the device.

    `ctx` is ``cpu`` or ``gpu:0``; only MXNet runs on other devices than processors. Raises
    SsdregError where that does not go together.
    """
    # MXNet, once imported, takes no other number of threads: only where it is no CPU
    if ctx == "cpu":
        return backend, None
    if backend == AUTO and Path(path).suffix.lower() not in MODEL_FILES:
        backend = MXNET
    if backend != MXNET:
        raise SsdregError(f"--ctx {ctx} is a device of MXNet, which does not run this: leave it "
                          f"out, or use --backend mxnet")
    return backend, devices(ctx)[0]


def _first(model: DeployModel, stored: str, threads: int | None, precision: str,
           context: mx.Context | None) -> Backend:
    """Open a model with the first backend that is installed and can run it."""
    candidates = (*backends.installed(), MXNET) if stored == "float32" else (MXNET,)
    for name in candidates[:-1]:
        try:
            return _exported(model, name, threads, precision)
        except (ExportError, ModelError):
            # an operator without a translation, or a precision that it does not have; what MXNet
            # says of it, where it cannot either, is said
            continue
    return MXNetBackend(_in_precision(model, precision), threads=threads, context=context)


def _exported(model: DeployModel, backend: str, threads: int | None, precision: str) -> Backend:
    """Export a model in memory, as ONNX, and open that."""
    from ssdreg.exporting import Options, to_onnx
    # images run one by one: on a processor a batch of these takes as long as they do singly, and
    # OpenVINO runs a model of one size faster than one of any
    options = Options(batch=1, precision="float16" if precision == "float16" else "float32")
    try:
        onnx_model = to_onnx(model, options)
    except ExportError as error:
        raise ExportError(f"{error}; the backend mxnet runs it as it is") from error
    return backends.open_backend(onnx_model.SerializeToString(), backend, threads, precision,
                                 model.name)


def _in_precision(model: DeployModel, precision: str) -> DeployModel:
    """Return a model that MXNet computes in this precision."""
    stored = facts_of(model).precision
    if precision in (AUTO, stored):
        return model
    if precision not in PRECISIONS:
        raise ModelError(f"there is no precision {precision!r}: choose one of "
                         f"{', '.join((AUTO, *PRECISIONS))}")
    if precision != "bfloat16" or stored != "float32":
        raise ModelError(f"{model.name} is computed in {stored} by MXNet, not in {precision}: "
                         f"give a run that is; `ssdreg quantize RUN --backend mxnet` makes int8")
    if not multiplies_bfloat16():
        raise ModelError(f"{model.name}: {NO_BFLOAT16}")
    from ssdreg.quantization import bfloat16_mxnet
    return bfloat16_mxnet(model)
