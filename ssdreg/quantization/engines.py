"""The model of a detector on each backend: made, quantised, opened, weighed and written.

`Made` is that backend's own form of it: an ONNX model, a model of OpenVINO, a `DeployModel` of
MXNet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from ssdreg_runtime.backends import Backend, open_backend
from ssdreg_runtime.system.files import replacing, scratch_folder
from ssdreg_runtime.system.processor import has_wide_bfloat16, multiplies_bfloat16

from ssdreg.deploy.model import DeployModel
from ssdreg.errors import ModelError
from ssdreg.exporting.openvino_model import read_model, stated_facts, write_facts
from ssdreg.exporting.openvino_model import write_model as write_openvino
from ssdreg.quantization.facts import with_precision
from ssdreg.quantization.mxnet.arranging import weights_of
from ssdreg.quantization.mxnet.bfloat16 import bfloat16_mxnet
from ssdreg.quantization.mxnet.int8 import quantize_mxnet
from ssdreg.quantization.mxnet.run import write_run
from ssdreg.quantization.onnxruntime.graph import nodes_with_weights
from ssdreg.quantization.onnxruntime.int8 import quantize_onnx
from ssdreg.quantization.openvino.int8 import quantize_openvino

if TYPE_CHECKING:
    import onnx
    import openvino

Made = Any
Images = Sequence[np.ndarray]


@frozen
class Engine:
    """The operations on a backend's models.

    - `exact`: make it of a source, in float32
    - `int8`: make it of a source, images (1, H, W, 3) uint8, and the convolutions to keep
    - `bfloat16`: make it of a source; None where the backend has none
    - `open`, `write`, `weigh` (bytes on disk): of what was made
    - `suffix` of its file; empty where it is a folder
    """

    exact: Callable[[DeployModel], Made]
    int8: Callable[[DeployModel, Images, Sequence[str]], Made]
    bfloat16: Callable[[DeployModel], Made] | None
    open: Callable[[Made], Backend]
    write: Callable[[Made, Path], None]
    weigh: Callable[[Made], int]
    suffix: str


def engine(backend: str, precision: str) -> Engine:
    """Return the engine of a backend that has a precision; raise ModelError without one."""
    if backend not in ENGINES:
        raise ModelError(f"there is no backend {backend!r}: choose one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ModelError(f"there is no precision {precision!r} to quantise to: choose one of "
                         f"{', '.join(PRECISIONS)}")
    chosen = ENGINES[backend]
    if precision == "bfloat16":
        if chosen.bfloat16 is None:
            raise ModelError("ONNX Runtime has no bfloat16 on processors: use the backend "
                             "openvino, or int8")
        computes = has_wide_bfloat16 if backend == "mxnet" else multiplies_bfloat16
        if not computes():
            raise ModelError("this processor has no bfloat16 (AVX-512 BF16, AMX or ARM's), which "
                             "would make it slower: use int8")
    return chosen


#: What can be made.
PRECISIONS = ("int8", "bfloat16")


def _export(source: DeployModel) -> onnx.ModelProto:
    from ssdreg.exporting import to_onnx
    return to_onnx(source)


def _kept_nodes(source: DeployModel, model: onnx.ModelProto, keep: Sequence[str]) -> tuple[str,
                                                                                           ...]:
    return nodes_with_weights(model, weights_of(source.symbol, keep))


def _onnx_int8(source: DeployModel, images: Images, keep: Sequence[str]) -> onnx.ModelProto:
    model = _export(source)
    return quantize_onnx(model, images, _kept_nodes(source, model, keep))


def _onnx_open(model: onnx.ModelProto) -> Backend:
    return open_backend(model.SerializeToString(), "onnxruntime")


def _onnx_write(model: onnx.ModelProto, file: Path) -> None:
    with replacing(file) as beside:
        beside.write_bytes(model.SerializeToString())


def _openvino_exact(source: DeployModel) -> openvino.Model:
    return _openvino(source, "float32")


def _openvino_bfloat16(source: DeployModel) -> openvino.Model:
    # the weights stay float32: OpenVINO rounds them when it compiles, if it is told to
    return _openvino(source, "bfloat16")


def _openvino(source: DeployModel, precision: str) -> openvino.Model:
    model = _export(source)
    read = read_model(model.SerializeToString())
    write_facts(read, with_precision(stated_facts(model), precision))
    return read


def _openvino_int8(source: DeployModel, images: Images, keep: Sequence[str]) -> openvino.Model:
    model = _export(source)
    return quantize_openvino(model.SerializeToString(), images, _kept_nodes(source, model, keep))


def _openvino_open(model: openvino.Model) -> Backend:
    with scratch_folder() as folder:
        file = folder / "detector.xml"
        write_openvino(model, file)
        return open_backend(file, "openvino")


def _mxnet_exact(source: DeployModel) -> DeployModel:
    return source


def _mxnet_int8(source: DeployModel, images: Images, keep: Sequence[str]) -> DeployModel:
    weights_of(source.symbol, keep)
    return quantize_mxnet(source, images, keep)


def _mxnet_open(source: DeployModel) -> Backend:
    from ssdreg.deploy.mxnet_backend import MXNetBackend
    return MXNetBackend(source, 1)


def _weigh(write: Callable[[Made, Path], None], name: str) -> Callable[[Made], int]:
    """Return a function that counts the bytes `write` writes."""
    def weigh(model: Made) -> int:
        with scratch_folder() as folder:
            write(model, folder / name)
            return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return weigh


#: The backends that can be quantised for, by name.
ENGINES: Mapping[str, Engine] = {
    "onnxruntime": Engine(_export, _onnx_int8, None, _onnx_open, _onnx_write,
                          _weigh(_onnx_write, "detector.onnx"), ".onnx"),
    "openvino": Engine(_openvino_exact, _openvino_int8, _openvino_bfloat16, _openvino_open,
                       write_openvino, _weigh(write_openvino, "detector.xml"), ".xml"),
    "mxnet": Engine(_mxnet_exact, _mxnet_int8, bfloat16_mxnet, _mxnet_open, write_run,
                    _weigh(write_run, "detector"), "")}
