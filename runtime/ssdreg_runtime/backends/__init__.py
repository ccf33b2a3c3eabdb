"""Backends that run a model file: ONNX Runtime and OpenVINO, where they are installed.

    backend = open_backend("cells.onnx")
    detections = backend.run(images)  # uint8 (B, H, W, 3) to float32 (B, K, 6)
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

from ssdreg_runtime.backends.model_file import ModelFile, describe
from ssdreg_runtime.backends.protocol import Backend
from ssdreg_runtime.backends.settings import CPU, Device, Settings, check_iou, parse_device
from ssdreg_runtime.errors import DependencyError, ModelError, SsdregError
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.telemetry import no_telemetry
from ssdreg_runtime.system.threads import choose

__all__ = ["AUTO", "BACKENDS", "Backend", "installed", "open_backend", "thread_count"]

AUTO = "auto"

#: The backends, each a module here and a package of the same name, in the order they are preferred.
BACKENDS = ("openvino", "onnxruntime")


def installed() -> tuple[str, ...]:
    """Return the backends whose packages are installed, the preferred one first."""
    return tuple(name for name in BACKENDS if find_spec(name) is not None)


def open_backend(model: str | os.PathLike[str] | bytes, backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO,
                 name: str = "the model in memory", device: str = CPU,
                 iou: float | None = None) -> Backend:
    """Open a model file, or the bytes of an ONNX file, with a backend.

    `backend` is one of `BACKENDS`, or "auto": OpenVINO where it is installed, else ONNX Runtime.
    `threads` is how many it computes with: by default the number in ``OMP_NUM_THREADS``, or else
    the real cores this process may use. `precision` is what it computes in: "auto" is what the
    file was made for, float32 unless it says otherwise; "bfloat16" makes a float32 file faster on
    processors that have it, with OpenVINO. `name` is what messages call bytes.

    `device` is ``cpu``; ``cuda``, ``cuda:1`` or ``tensorrt``, which ONNX Runtime has; or
    ``openvino:GPU`` with any device of OpenVINO's. `iou` is the overlap from which on the lesser of
    two boxes is dropped, in place of the file's own: it is put into the graph when that is opened,
    and the file stays as it is.

    Raises ModelError for a file that is no detector or cannot be run in that way, DependencyError
    when the backend, or what it needs for the device, is not installed.
    """
    if backend not in (AUTO, *BACKENDS):
        raise ModelError(f"there is no backend {backend!r} for model files: choose one of "
                         f"{', '.join((AUTO, *BACKENDS))}")
    settings = Settings(thread_count(threads), precision, parse_device(device), iou)
    file = describe(model, name)
    check_iou(iou, file.facts, file.name)
    package = _choose_backend(file, backend, settings.device)
    try:
        with no_telemetry():
            import_module(package)
    except ImportError as error:
        raise DependencyError(f"the package {package} is installed but cannot be imported: {error}"
                              ) from error
    opened: Backend = import_module(f"ssdreg_runtime.backends.{package}").open_file(
        file, settings)
    return opened


def thread_count(threads: int | None) -> int:
    """Return the number of threads to compute with; None gives the default of `open_backend`.

    Raises SsdregError unless `threads` is None or a positive integer.
    """
    if threads is None:
        # a value of OMP_NUM_THREADS that is no number counts as if it were not set
        return choose(os.environ).count or choose({}).count
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SsdregError(f"{threads!r} is no number of threads: give 1 or more")
    return threads


def _choose_backend(file: ModelFile, backend: str, device: Device) -> str:
    available = installed()
    if device.backend is not None:
        if backend not in (AUTO, device.backend):
            raise ModelError(f"--device {device.text} is a device of {device.backend}, not of "
                             f"{backend}: leave one of them out")
        backend = device.backend
    if file.is_ir:
        if backend == "onnxruntime":
            raise ModelError(f"{file.name} is a model of OpenVINO, which ONNX Runtime cannot run: "
                             f"use the backend openvino")
        backend = "openvino"
    if backend == AUTO:
        if not available:
            raise DependencyError("running a model needs OpenVINO or ONNX Runtime, and neither is "
                                  f"installed: run `{install('openvino')}` or "
                                  f"`{install('onnxruntime')}`")
        return available[0]
    if backend not in available:
        raise DependencyError(f"{file.name} needs the package {backend}, which is not installed: "
                              f"run `{install(backend)}`")
    return backend
