"""Out of MXNet: a detector as one ONNX file, suppression included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg.errors import ExportError
from ssdreg.exporting.options import Options

if TYPE_CHECKING:
    import onnx

    from ssdreg.deploy.model import DeployModel

__all__ = ["ExportError", "Options", "to_onnx", "write_onnx"]


def to_onnx(source: DeployModel, options: Options | None = None) -> onnx.ModelProto:
    """Return a detector as an ONNX model; see `ssdreg.exporting.model.to_onnx`."""
    from ssdreg.exporting import model
    return model.to_onnx(source, options)


def write_onnx(source: DeployModel, file: str | Path, options: Options | None = None) -> None:
    """Write a detector as an ONNX file, whole or not at all; raises what `to_onnx` raises.

    A `file` that ends in .xml is written as OpenVINO's two files; DependencyError is raised where
    OpenVINO is not installed.
    """
    write_model(to_onnx(source, options), Path(file))


def write_model(model: onnx.ModelProto, file: Path) -> None:
    """Write an ONNX model as a file .onnx, or as OpenVINO's .xml and .bin, whole or not at all."""
    from ssdreg_runtime.system.files import replacing
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".xml":
        from ssdreg.exporting.openvino_model import of_onnx
        from ssdreg.exporting.openvino_model import write_model as write_openvino
        write_openvino(of_onnx(model), file)
        return
    with replacing(file) as beside:
        beside.write_bytes(model.SerializeToString())
