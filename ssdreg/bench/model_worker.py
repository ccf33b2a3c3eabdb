"""A worker that makes the model another one measures: ``python -m`` this module.

Its job is ``{"kind", "source", "images", "batch", "folder"}``, and its answer ``{"model": path}``.
It is a process of its own because exporters and quantisers import a great deal, start threads and
may fail; what is measured should have nothing of that about it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssdreg.bench.protocol import Ready, serve
from ssdreg.bench.workload import batches, save_deploy_model
from ssdreg.deploy.model import DeployModel, open_deploy_model
from ssdreg.errors import SsdregError


def prepare(job: Mapping[str, Any]) -> Ready:
    """Make the model; there is nothing to be timed then."""
    path = KINDS[job["kind"]](open_deploy_model(job["source"]), np.load(job["images"]),
                              job["batch"], Path(job["folder"]))
    return {"model": str(path)}, lambda: None


def _onnx(source: DeployModel, images: np.ndarray, batch: int, folder: Path) -> Path:
    from ssdreg.exporting import Options, write_onnx
    file = folder / "model.onnx"
    write_onnx(source, file, Options(batch=batch))
    return file


def _onnx_int8(source: DeployModel, images: np.ndarray, batch: int, folder: Path) -> Path:
    import onnx

    from ssdreg.exporting import Options, to_onnx
    from ssdreg.quantization import quantize_onnx
    file = folder / "model.onnx"
    onnx.save(quantize_onnx(to_onnx(source, Options(batch=batch)), batches(images, batch)), file)
    return file


def _openvino_int8(source: DeployModel, images: np.ndarray, batch: int, folder: Path) -> Path:
    from ssdreg_runtime.system.telemetry import no_telemetry
    with no_telemetry():
        import openvino

    from ssdreg.exporting import Options, to_onnx
    from ssdreg.quantization import quantize_openvino
    file = folder / "model.xml"
    exported = to_onnx(source, Options(batch=batch)).SerializeToString()
    openvino.save_model(quantize_openvino(exported, batches(images, batch)), file,
                        compress_to_fp16=False)
    return file


def _mxnet_int8(source: DeployModel, images: np.ndarray, batch: int, folder: Path) -> Path:
    from ssdreg.quantization import quantize_mxnet
    save_deploy_model(quantize_mxnet(source, batches(images, batch)), folder / "run")
    return folder / "run"


def _mxnet_bfloat16(source: DeployModel, images: np.ndarray, batch: int, folder: Path) -> Path:
    from ssdreg.quantization import bfloat16_mxnet
    save_deploy_model(bfloat16_mxnet(source), folder / "run")
    return folder / "run"


#: What can be made: (source, calibration images, batch size, folder) to the model's path.
KINDS: Mapping[str, Callable[[DeployModel, np.ndarray, int, Path], Path]] = {
    "onnx": _onnx, "onnxruntime int8": _onnx_int8, "openvino int8": _openvino_int8,
    "mxnet int8": _mxnet_int8, "mxnet bfloat16": _mxnet_bfloat16}

if __name__ == "__main__":
    sys.exit(serve(prepare, SsdregError))
