"""OpenVINO, on the processor or another of its devices."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.backends.model_file import (
    IMAGE,
    IMAGE_OUTPUTS,
    INPUT,
    OUTPUT,
    RAW_OUTPUTS,
    ModelFile,
    check_interface,
    failed_error,
    takes_picture,
    unreadable_error,
)
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.backends.precisions import MIXED, NO_BFLOAT16, resolve_precision
from ssdreg_runtime.backends.settings import CPU, Device, Settings, in_force, iou_limit
from ssdreg_runtime.errors import DependencyError, ModelError
from ssdreg_runtime.system.files import digest
from ssdreg_runtime.system.names import native

if TYPE_CHECKING:
    import openvino

#: Compiled models that are kept until the process ends, by what they were compiled from. MXNet and
#: OpenVINO each carry oneDNN, and code that one frees can be the other's: MXNet crashed in training
#: after a detector was freed. Who opens a model again gets the same compiled one, so that memory
#: grows with the models and not with the detectors.
_NEVER_FREED: dict[tuple[object, ...], openvino.CompiledModel] = {}
_PROCESSOR = "CPU"

#: Which input of NonMaxSuppression is the threshold.
_IOU_INPUT = 3

#: Requests compiled for one batch size each, where a file takes any number of images.
_MAX_FIXED_REQUESTS = 2


class OpenVinoBackend:
    """A compiled model of OpenVINO. Threads that run it wait for one another."""

    name = "openvino"

    def __init__(self, facts: ModelFacts, precision: str, compiler: _Compiler,
                 model_name: str) -> None:
        self.facts, self.precision, self._model_name = facts, precision, model_name
        # compiled here, so that a model that cannot be compiled is refused when it is opened
        self._requests = {facts.batch or 1: compiler.compile_fixed(facts.batch or 1)}
        self._dynamic_request: openvino.InferRequest | None = None
        # the model is kept in memory only where batches of other sizes may follow
        self._compiler = compiler if facts.batch is None else None
        # one request with all cores is faster than several that share them
        self._lock = Lock()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        with self._lock:
            try:
                request = self._request(len(images))
                outputs = request.infer(np.ascontiguousarray(images), share_inputs=True)
            except (RuntimeError, UnicodeError) as error:
                raise failed_error(self._model_name, "openvino", error) from error
            detections: np.ndarray = outputs[0]
        return detections

    def _request(self, batch: int) -> openvino.InferRequest:
        """Return the request that runs a batch of this size.

        A model compiled for one size takes a quarter less time than one for any, and some tenths
        of a second to compile: so each of the first sizes that come gets its own.
        """
        if self._compiler is None:
            return next(iter(self._requests.values()))
        if batch not in self._requests:
            if len(self._requests) == _MAX_FIXED_REQUESTS:
                self._dynamic_request = self._dynamic_request or self._compiler.compile_dynamic()
                return self._dynamic_request
            self._requests[batch] = self._compiler.compile_fixed(batch)
        return self._requests[batch]


class _PictureRequests:
    """A model that takes a picture, compiled for those of the network's size, and for any.

    Threads that run it wait for one another.
    """

    def __init__(self, data_shape: tuple[int, int], compiler: _Compiler, model_name: str) -> None:
        self._shape, self._compiler, self._lock = (*data_shape, 3), compiler, Lock()
        self._model_name = model_name
        # what is resized here already, as all that `Detector` runs, needs no resizing in the model
        self._fixed = compiler.compile_shape(self._shape)
        self._any: openvino.InferRequest | None = None

    def detect(self, picture: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for a picture (h, w, 3) uint8."""
        with self._lock:
            request = self._fixed
            try:
                if picture.shape != self._shape:
                    request = self._any = self._any or self._compiler.compile_dynamic()
                found = request.infer(picture)
            except (RuntimeError, UnicodeError) as error:
                raise failed_error(self._model_name, "openvino", error) from error
            return [found[index].copy() for index in range(len(IMAGE_OUTPUTS))]


@frozen(eq=False)
class _Compiler:
    """A model, and the settings it is compiled with; one model is compiled once beside MXNet."""

    model: openvino.Model
    core: openvino.Core
    settings: Mapping[str, str | int]
    #: Equal for models of equal content.
    identity: object
    device: str

    def compile_fixed(self, batch: int) -> openvino.InferRequest:
        """Compile the model for a batch of this size."""
        return self.compile_shape([batch, *(
            side.get_length() for side in list(self.model.inputs[0].partial_shape)[1:])])

    def compile_shape(self, shape: Sequence[int]) -> openvino.InferRequest:
        """Compile the model for an input of this shape."""
        model = self.model.clone()
        model.reshape(list(shape))
        return self._compile(model, tuple(shape))

    def compile_dynamic(self) -> openvino.InferRequest:
        """Compile the model as it is, for an input of any shape that it takes."""
        return self._compile(self.model, None)

    def _compile(self, model: openvino.Model, shape: tuple[int, ...] | None
                 ) -> openvino.InferRequest:
        if "mxnet" not in sys.modules:
            return self._compiled(model).create_infer_request()
        key = (self.identity, shape, self.device, *sorted(self.settings.items()))
        if key not in _NEVER_FREED:
            _NEVER_FREED[key] = self._compiled(model)
        return _NEVER_FREED[key].create_infer_request()

    def _compiled(self, model: openvino.Model) -> openvino.CompiledModel:
        return self.core.compile_model(model, self.device, dict(self.settings))


def _identity(file: ModelFile) -> object:
    """Return what is equal for models of equal content: a digest, the weights' file included.

    Where no compiled model is kept, every model is its own.
    """
    if "mxnet" not in sys.modules:
        return object()
    if file.path is None:
        return (hashlib.sha256(file.content or b"").hexdigest(),)
    parts = (file.path, file.path.with_suffix(".bin")) if file.is_ir else (file.path,)
    return tuple(map(digest, parts))


def _read(core: openvino.Core, file: ModelFile) -> openvino.Model:
    if file.path is None:
        return core.read_model(file.content)
    try:
        return core.read_model(str(file.path))
    except UnicodeEncodeError:
        # older releases take names in UTF-8, newer ones as Python has them from the system
        return core.read_model(native(file.path))


def open_file(file: ModelFile, settings: Settings) -> OpenVinoBackend | PictureBackend:
    """Open an ONNX file or one of OpenVINO's own; see `open_backend`."""
    import openvino
    computed = resolve_precision(settings.precision, file.facts, file.name)
    core = openvino.Core()
    device = _device(file.name, settings.device, core.available_devices)
    in_bfloat16 = computed in ("bfloat16", MIXED)
    if in_bfloat16 and (device != _PROCESSOR or "BF16" not in core.get_property(
            _PROCESSOR, "OPTIMIZATION_CAPABILITIES")):
        raise ModelError(f"{file.name}: {NO_BFLOAT16}")
    # by default it computes in bfloat16 on processors that have it
    chosen: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if in_bfloat16 else "f32"}
    if device == _PROCESSOR:
        chosen.update(INFERENCE_NUM_THREADS=settings.threads, NUM_STREAMS=1)
    facts = in_force(file.facts, settings.iou)
    identity = (_identity(file), settings.iou)
    try:
        model = _read(core, file)
        if settings.iou is not None:
            _set_iou(model, settings.iou)
        compiler = _Compiler(model, core, chosen, identity, device)
        input_names = [_port_name(port) for port in model.inputs]
        output_names = [_port_name(port) for port in model.outputs]
        if takes_picture(input_names, output_names):
            if in_bfloat16:
                raise ModelError(f"{file.name} takes pictures of any size, and their pixels and "
                                 f"boxes need more digits than bfloat16 has: compute it in "
                                 f"float32, or export it with --input images")
            requests = _PictureRequests(facts.data_shape, compiler, file.name)
            return PictureBackend(evolve(facts, batch=1), computed, "openvino", requests.detect)
        shape = _input_shape(model)
        check_interface(file.name, input_names, output_names, shape, file.facts)
        return OpenVinoBackend(evolve(facts, batch=shape[0]), computed, compiler, file.name)
    # its message may hold bytes of the file that are no text
    except (RuntimeError, UnicodeError) as error:
        version = openvino.__version__.split("-")[0]
        raise unreadable_error(file, "openvino", version, error) from error


def _device(name: str, device: Device, there: Sequence[str]) -> str:
    """Return OpenVINO's name of a device; raise DependencyError for one that is not there."""
    if device.kind == CPU:
        return _PROCESSOR
    # AUTO:GPU,CPU and the like choose among those behind them by themselves
    plain = device.which.partition(":")[0]
    known = {one.partition(".")[0] for one in there} | {*there, "AUTO", "HETERO", "MULTI"}
    if plain not in known:
        raise DependencyError(f"{name}: OpenVINO finds no {device.which} here, for --device "
                              f"{device.text}: there is {', '.join(there)}, and another needs its "
                              f"driver")
    return device.which


def _set_iou(model: openvino.Model, iou: float) -> None:
    """Put a threshold into a model's suppression, in place of its own."""
    from openvino import opset13 as opset
    for operator in model.get_ops():
        if operator.get_type_name() == "NonMaxSuppression":
            limit = opset.constant(float(iou_limit(iou)[0]), dtype=np.float32)
            operator.input(_IOU_INPUT).replace_source_output(limit.output(0))


def _port_name(port: openvino.Output) -> str:
    # OpenVINO drops nodes that only rename a tensor, which then has both names
    names = port.get_names()
    interface_names = names & {INPUT, OUTPUT, IMAGE, *IMAGE_OUTPUTS, *RAW_OUTPUTS}
    return min(interface_names or names, default="(unnamed)")


def _input_shape(model: openvino.Model) -> list[int | None]:
    if not model.inputs or model.inputs[0].partial_shape.rank.is_dynamic:
        return []
    return [None if side.is_dynamic else side.get_length()
            for side in model.inputs[0].partial_shape]
