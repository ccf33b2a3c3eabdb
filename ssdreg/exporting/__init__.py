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
    """Write a detector as an ONNX file, whole or not at all; raises what `to_onnx` raises."""
    from ssdreg_runtime.system.files import replacing
    model = to_onnx(source, options)
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_bytes(model.SerializeToString())
