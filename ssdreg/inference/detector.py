"""Detectors of runs, of old checkpoints and of exported files, on any backend."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ssdreg_runtime import backends
from ssdreg_runtime.backends import AUTO, Backend
from ssdreg_runtime.backends.settings import OPENVINO, TENSORRT, parse_device
from ssdreg_runtime.inference import detector as runtime

from ssdreg.deploy.model import DeployModel, open_deploy_model
from ssdreg.deploy.mxnet_backend import facts_of, offer_threads
from ssdreg.deploy.suppression import with_iou
from ssdreg.engines import MXNET
from ssdreg.engines.choice import Choice, choose_engine
from ssdreg.errors import ExportError, ModelError, SsdregError, UnknownNameError
from ssdreg.registry.device import CPU, parse_devices
from ssdreg.registry.names import get_engine, list_engines
from ssdreg.registry.preprocessing import Preprocessing

#: The extensions of files that need no MXNet.
MODEL_FILES = (".onnx", ".xml")


class Detector(runtime.Detector):
    """A detector, ready to look at images: see `detect`.

    `path` is a run's folder, an old checkpoint (anything that `ssdreg.load_checkpoint` reads), a
    file that `ssdreg export` or `ssdreg quantize` wrote, or a `DeployModel` that is open. `backend`
    is one of

    - an engine of `ssdreg.list_engines`, such as "mxnet", for all but exported files
    - "onnxruntime" or "openvino"; runs and checkpoints are exported to it in memory
    - "auto": the first that is installed and can run it of OpenVINO, ONNX Runtime, the engines of
      plug-ins, and MXNet

    `threads` and `precision` are those of `ssdreg_runtime.backends.open_backend`. MXNet takes its
    number of threads when it is first imported and keeps it: another number is refused after that.
    `epoch` is a run's, the best by default. `device` is ``cpu``; ``cuda``, ``cuda:1`` or ``mps``
    for an engine; or for OpenVINO and ONNX Runtime that of `ssdreg_runtime.backends.open_backend`,
    such as ``openvino:GPU``. `classes`, `data_shape` and `preprocessing` are for a checkpoint that
    does not tell them itself, as in `ssdreg.load_checkpoint`. `iou` is the overlap from which on
    the lesser of two boxes is dropped, in place of the detector's own; `max_det` and `only` are
    those of `ssdreg_runtime.Detector`.

    Raises a SsdregError, one sentence, for what cannot be read, exported or run in this way.
    """

    def __init__(self, path: str | os.PathLike[str] | DeployModel, backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO, epoch: int | None = None,
                 device: str = CPU, classes: Sequence[str] | None = None,
                 data_shape: int | tuple[int, int] | None = None,
                 preprocessing: Preprocessing | None = None, iou: float | None = None,
                 max_det: int | None = None, only: str | Iterable[str] | None = None) -> None:
        self._use(open_backend(path, backend, threads, precision, epoch, device, iou,
                               classes=classes, data_shape=data_shape,
                               preprocessing=preprocessing), max_det, only)


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path names a file that `ssdreg export` wrote, by its suffix."""
    return Path(path).suffix.lower() in MODEL_FILES


def check_exported(path: str | os.PathLike[str], epoch: int | None = None, **told: Any) -> None:
    """Raise ModelError where an exported file is told what it knows itself."""
    if epoch is not None:
        raise ModelError(f"{path} holds one epoch's parameters: an epoch is chosen when it is "
                         f"exported, `ssdreg export RUN --epoch {epoch}`")
    if any(value is not None for value in told.values()):
        raise ModelError(f"{path} knows its classes, input size and normalisation: these are "
                         f"given for checkpoints only")


def open_backend(path: str | os.PathLike[str] | DeployModel, backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO, epoch: int | None = None,
                 device: str = CPU, iou: float | None = None, **told: Any) -> Backend:
    """Open what runs a detector; see `Detector` for the arguments and what is raised.

    `told` is what a checkpoint does not tell itself: `classes`, `data_shape`, `preprocessing`.
    """
    _check_name(backend)
    if not isinstance(path, DeployModel) and is_exported(path):
        if backend not in (AUTO, *backends.BACKENDS):
            raise ModelError(f"{path} was exported, and {get_engine(backend).name} cannot run it: "
                             f"give the run it was exported from, or use the backend onnxruntime "
                             f"or openvino")
        check_exported(path, epoch, **told)
        return backends.open_backend(path, backend, threads, precision, device=device, iou=iou)
    if backend == AUTO and _is_of_files(device):
        backend = parse_device(device).backend or AUTO
    on_processor = backend in backends.BACKENDS or _on_processor(device)
    # before anything imports MXNet, which takes its threads then
    offer_threads(threads)
    model = path if isinstance(path, DeployModel) else open_deploy_model(Path(path), epoch, **told)
    stored = facts_of(model).precision
    if backend == AUTO:
        return _first(model, stored, threads, precision, device, on_processor, iou)
    if backend not in backends.BACKENDS:
        return _computed(model, choose_engine(backend, device), threads, precision, iou)
    if stored != "float32":
        raise ModelError(f"{model.name} was made for MXNet in {stored}: use the backend mxnet, or "
                         f"give the run that it was made from")
    return _exported(model, backend, threads, precision, device, iou)


def _is_of_files(device: str) -> bool:
    """Tell whether a device is one that only what runs model files has."""
    return device.partition(":")[0] in (TENSORRT, OPENVINO)


def _check_name(backend: str) -> None:
    """Raise ModelError for a name that no backend has, and neither an engine."""
    if backend in (AUTO, *backends.BACKENDS):
        return
    try:
        get_engine(backend)
    except UnknownNameError as error:
        engines = (engine.name for engine in list_engines())
        raise ModelError(f"there is no backend {backend!r}: choose one of "
                         f"{', '.join((AUTO, *engines, *backends.BACKENDS))}") from error


def _on_processor(device: str) -> bool:
    """Tell whether a detector is to run on the processor; refuse several devices."""
    devices = parse_devices(device)
    if len(devices) > 1:
        raise SsdregError(f"--device {device}: a detector runs on one device: name one of them")
    return devices[0].kind == CPU


def _first(model: DeployModel, stored: str, threads: int | None, precision: str,
           device: str, on_processor: bool, iou: float | None) -> Backend:
    """Open a model with the first backend that is installed and can run it."""
    if stored != "float32":
        return _computed(model, choose_engine(MXNET, device), threads, precision, iou)
    for name in backends.installed() if on_processor else ():
        try:
            return _exported(model, name, threads, precision, CPU, iou)
        except (ExportError, ModelError):
            # an operator without a translation, or a precision that it does not have; what the
            # engine says of it, where it cannot either, is said
            continue
    return _computed(model, choose_engine(AUTO, device), threads, precision, iou)


def _computed(model: DeployModel, choice: Choice, threads: int | None, precision: str,
              iou: float | None) -> Backend:
    if iou is not None:
        model = with_iou(model, iou)
    return choice.engine.open_backend(model, choice.devices[0], threads, precision)


def _exported(model: DeployModel, backend: str, threads: int | None, precision: str, device: str,
              iou: float | None) -> Backend:
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
                                 model.name, device, iou)
