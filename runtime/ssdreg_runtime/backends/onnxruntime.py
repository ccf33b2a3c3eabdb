"""ONNX Runtime, on the processor or what its package has besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.backends.model_file import (
    IMAGE,
    IMAGE_OUTPUTS,
    INPUT,
    OUTPUT,
    ModelFile,
    check_interface,
    failed_error,
    takes_picture,
    unreadable_error,
)
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.backends.precisions import MIXED, resolve_precision
from ssdreg_runtime.backends.settings import (
    CPU,
    CUDA,
    IOU_CONSTANT,
    TENSORRT,
    Device,
    Settings,
    in_force,
    iou_limit,
)
from ssdreg_runtime.errors import DependencyError, ModelError
from ssdreg_runtime.system.names import native

if TYPE_CHECKING:
    import onnxruntime

#: The highest of ONNX Runtime's five log severities; its exceptions carry the same messages.
_FATAL_ONLY = 4


@frozen(eq=False)
class OnnxRuntimeBackend:
    """A session of ONNX Runtime. Several threads may run it at once."""

    facts: ModelFacts
    precision: str
    _session: onnxruntime.InferenceSession = field(repr=False)
    _model_name: str = field(repr=False)
    #: What the session reads and does not keep alive.
    _reads: object = field(default=None, repr=False)
    name: str = "onnxruntime"

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        try:
            detections: np.ndarray = self._session.run([OUTPUT], {INPUT: images})[0]
        except _errors() as error:
            raise failed_error(self._model_name, "onnxruntime", error) from error
        return detections


#: The provider of each device, and those that take what it leaves.
_PROVIDERS: Mapping[str, tuple[str, ...]] = {
    CPU: (), CUDA: ("CUDAExecutionProvider",),
    TENSORRT: ("TensorrtExecutionProvider", "CUDAExecutionProvider")}


def open_file(file: ModelFile, settings: Settings) -> OnnxRuntimeBackend | PictureBackend:
    """Open an ONNX file; see `open_backend`."""
    import onnxruntime
    computed = resolve_precision(settings.precision, file.facts, file.name)
    if computed in ("bfloat16", MIXED):
        raise ModelError(f"{file.name}: ONNX Runtime has no bfloat16 on processors; use the "
                         f"backend openvino, or another precision")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    # threads that spin while they wait make a run faster, but between runs take others' cores
    options.add_session_config_entry("session.force_spinning_stop", "1")
    limit = None
    if settings.iou is not None:
        # in place of the file's constant of that name; the session reads it in every run, and does
        # not keep it alive
        limit = onnxruntime.OrtValue.ortvalue_from_numpy(iou_limit(settings.iou))
        options.add_initializer(IOU_CONSTANT, limit)
    providers = _providers(file.name, settings.device)
    model = file.content if file.path is None else native(file.path)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except _errors() as error:
        raise unreadable_error(file, "onnxruntime", onnxruntime.__version__, error) from error
    if providers[0][0] not in session.get_providers():
        # it falls back to the processor without a word
        raise DependencyError(f"{file.name}: ONNX Runtime has {providers[0][0]} and cannot start "
                              f"it here, where a driver or a library of it is missing: leave "
                              f"--device {settings.device.text} out to run on the processor")
    facts = in_force(file.facts, settings.iou)
    inputs = session.get_inputs()
    input_names = [port.name for port in inputs]
    output_names = [port.name for port in session.get_outputs()]
    if takes_picture(input_names, output_names):
        def detect(picture: np.ndarray) -> Sequence[np.ndarray]:
            try:
                found: Sequence[np.ndarray] = session.run(IMAGE_OUTPUTS, {IMAGE: picture})
            except _errors() as error:
                raise failed_error(file.name, "onnxruntime", error) from error
            return found

        return PictureBackend(evolve(facts, batch=1), computed, "onnxruntime", detect, limit)
    shape = [side if isinstance(side, int) else None
             for side in (inputs[0].shape if inputs else ())]
    check_interface(file.name, input_names, output_names, shape, file.facts)
    return OnnxRuntimeBackend(evolve(facts, batch=shape[0]), computed, session, file.name, limit)


def _providers(name: str, device: Device) -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a device, the processor last; raise DependencyError without it."""
    import onnxruntime
    wanted, there = _PROVIDERS[device.kind], onnxruntime.get_available_providers()
    if wanted and wanted[0] not in there:
        raise DependencyError(
            f"{name}: --device {device.text} needs an ONNX Runtime with {wanted[0]}, and the one "
            f"that is installed has {', '.join(there)}: run `pip install onnxruntime-gpu` in its "
            f"place, or leave --device out")
    return [*((provider, {"device_id": device.which}) for provider in wanted if provider in there),
            ("CPUExecutionProvider", {})]


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime for damaged files; they have no common base.

    UnicodeError is that of a message which holds bytes of the file that are no text.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state
    errors: list[Any] = [getattr(state, name) for name in (
        "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotImplemented",
        "RuntimeException")]
    return (*errors, RuntimeError, UnicodeError)
