"""ONNX Runtime, on the processor."""

from __future__ import annotations

from collections.abc import Sequence
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
    takes_picture,
    unreadable_error,
)
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.backends.precisions import MIXED, resolve_precision
from ssdreg_runtime.errors import ModelError
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
    name: str = "onnxruntime"

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        detections: np.ndarray = self._session.run([OUTPUT], {INPUT: images})[0]
        return detections


def open_file(file: ModelFile, threads: int, precision: str
              ) -> OnnxRuntimeBackend | PictureBackend:
    """Open an ONNX file; see `open_backend`."""
    import onnxruntime
    computed = resolve_precision(precision, file.facts, file.name)
    if computed in ("bfloat16", MIXED):
        raise ModelError(f"{file.name}: ONNX Runtime has no bfloat16 on processors; use the "
                         f"backend openvino, or another precision")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # threads that spin while they wait make a run faster, but between runs take others' cores
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = file.content if file.path is None else native(file.path)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _load_errors() as error:
        raise unreadable_error(file, "onnxruntime", onnxruntime.__version__, error) from error
    inputs = session.get_inputs()
    input_names = [port.name for port in inputs]
    output_names = [port.name for port in session.get_outputs()]
    if takes_picture(input_names, output_names):
        def detect(picture: np.ndarray) -> Sequence[np.ndarray]:
            found: Sequence[np.ndarray] = session.run(IMAGE_OUTPUTS, {IMAGE: picture})
            return found

        return PictureBackend(evolve(file.facts, batch=1), computed, "onnxruntime", detect)
    shape = [side if isinstance(side, int) else None
             for side in (inputs[0].shape if inputs else ())]
    check_interface(file.name, input_names, output_names, shape, file.facts)
    return OnnxRuntimeBackend(evolve(file.facts, batch=shape[0]), computed, session)


def _load_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime for unreadable files; they have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state
    errors: list[Any] = [getattr(state, name) for name in (
        "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotImplemented",
        "RuntimeException")]
    return (*errors, RuntimeError)
