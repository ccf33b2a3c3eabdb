"""OpenVINO, on the processor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.backends.model_file import (
    INPUT,
    OUTPUT,
    RAW_OUTPUTS,
    ModelFile,
    check_interface,
    unreadable,
)
from ssdreg_runtime.backends.precisions import MIXED, NO_BFLOAT16, resolve
from ssdreg_runtime.errors import ModelError
from ssdreg_runtime.system.names import native

if TYPE_CHECKING:
    import openvino

#: Compiled models that are never freed. MXNet and OpenVINO each carry oneDNN, and code that the one
#: frees can be the other's: MXNet crashed in training behind a detector that was done with.
_ALIVE: list[openvino.CompiledModel] = []
DEVICE = "CPU"


#: Models for a batch of one size that are kept, where a file takes any number of images.
_FIXED_KEPT = 2


class OpenVinoBackend:
    """A compiled model of OpenVINO. Threads that run it wait for one another."""

    name = "openvino"

    def __init__(self, facts: ModelFacts, precision: str, compiler: _Compiler) -> None:
        self.facts, self.precision = facts, precision
        # compiled here, so that a model that cannot be is refused when it is opened
        self._requests = {facts.batch or 1: compiler.fixed(facts.batch or 1)}
        self._any: openvino.InferRequest | None = None
        # the model itself is needed, and kept in memory, only where other sizes may come
        self._compiler = compiler if facts.batch is None else None
        # one request with all cores is faster than several that share them
        self._lock = Lock()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Backend.run`."""
        with self._lock:
            request = self._request(len(images))
            found: np.ndarray = request.infer(np.ascontiguousarray(images), share_inputs=True)[0]
        return found

    def _request(self, batch: int) -> openvino.InferRequest:
        """Return what runs a batch of this size.

        A model compiled for one size takes a quarter less time than one for any, and some tenths
        of a second to compile: so the first sizes that come get one of their own.
        """
        if self._compiler is None:
            return next(iter(self._requests.values()))
        if batch not in self._requests:
            if len(self._requests) == _FIXED_KEPT:
                self._any = self._any or self._compiler.any()
                return self._any
            self._requests[batch] = self._compiler.fixed(batch)
        return self._requests[batch]


@frozen(eq=False)
class _Compiler:
    """A model, and how it is compiled."""

    model: openvino.Model
    core: openvino.Core
    settings: Mapping[str, str | int]

    def fixed(self, batch: int) -> openvino.InferRequest:
        """Compile it for a batch of this size."""
        model = self.model.clone()
        model.reshape([batch, *(side.get_length()
                                for side in list(model.inputs[0].partial_shape)[1:])])
        return self._compiled(model)

    def any(self) -> openvino.InferRequest:
        """Compile it as it is, for any batch."""
        return self._compiled(self.model)

    def _compiled(self, model: openvino.Model) -> openvino.InferRequest:
        made = self.core.compile_model(model, DEVICE, dict(self.settings))
        if "mxnet" in sys.modules:
            _ALIVE.append(made)
        return made.create_infer_request()


def _read(core: openvino.Core, file: ModelFile) -> openvino.Model:
    if file.path is None:
        return core.read_model(file.content)
    try:
        return core.read_model(str(file.path))
    except UnicodeEncodeError:
        # older releases take names in UTF-8, newer ones as Python has them from the system
        return core.read_model(native(file.path))


def open_file(file: ModelFile, threads: int, precision: str) -> OpenVinoBackend:
    """Open an ONNX file or one of OpenVINO's own; see `open_backend`."""
    import openvino
    computed = resolve(precision, file.facts, file.name)
    core = openvino.Core()
    in_bfloat16 = computed in ("bfloat16", MIXED)
    if in_bfloat16 and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise ModelError(f"{file.name}: {NO_BFLOAT16}")
    settings: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
        # on processors that have bfloat16 it would compute in that unasked
        "INFERENCE_PRECISION_HINT": "bf16" if in_bfloat16 else "f32"}
    try:
        model = _read(core, file)
        shape = _shape(model)
        check_interface(file.name, [_name(port) for port in model.inputs],
                        [_name(port) for port in model.outputs], shape, file.facts)
        return OpenVinoBackend(evolve(file.facts, batch=shape[0]), computed,
                               _Compiler(model, core, settings))
    except RuntimeError as error:
        raise unreadable(file, "openvino", openvino.__version__.split("-")[0], error) from error


def _name(port: openvino.Output) -> str:
    # what only renames is left out, and its tensor then has both names
    names = port.get_names()
    contract = names & {INPUT, OUTPUT, *RAW_OUTPUTS}
    return min(contract or names, default="(unnamed)")


def _shape(model: openvino.Model) -> list[int | None]:
    if not model.inputs or model.inputs[0].partial_shape.rank.is_dynamic:
        return []
    return [None if side.is_dynamic else side.get_length()
            for side in model.inputs[0].partial_shape]
