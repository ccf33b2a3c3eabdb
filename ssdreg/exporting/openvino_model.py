"""A detector as a model of OpenVINO: read from ONNX, with its facts, written as .xml and .bin."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.backends.facts import PREFIX
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.telemetry import no_telemetry

from ssdreg.errors import DependencyError

if TYPE_CHECKING:
    import onnx
    import openvino

#: Where a model of OpenVINO keeps the facts.
_OWN = "ssdreg"


def read_model(content: bytes) -> openvino.Model:
    """Read an ONNX file's content as a model of OpenVINO, with what is constant worked out."""
    with no_telemetry():
        try:
            import openvino
        except ImportError as error:
            raise DependencyError(f"OpenVINO is not installed: run "
                                  f"`{install('openvino', 'ssdreg')}`") from error
        # and not Core.read_model, which leaves clips in two parts that are no activation to NNCF
        return openvino.convert_model(BytesIO(content))


def stated_facts(model: onnx.ModelProto) -> dict[str, str]:
    """Return an ONNX model's facts: JSON by key, the keys without their prefix."""
    return {entry.key[len(PREFIX):]: entry.value for entry in model.metadata_props
            if entry.key.startswith(PREFIX)}


def write_facts(model: openvino.Model, facts: Mapping[str, str]) -> None:
    """Write an ONNX model's facts into a model of OpenVINO."""
    for key, value in facts.items():
        model.set_rt_info(value, [_OWN, key])


def of_onnx(model: onnx.ModelProto) -> openvino.Model:
    """Return a detector's ONNX model as one of OpenVINO, with the same facts."""
    read = read_model(model.SerializeToString())
    write_facts(read, stated_facts(model))
    return read


def write_model(model: openvino.Model, file: Path) -> None:
    """Write a model's two files, `file` ending in .xml, whole or not at all."""
    import openvino
    # the description last, because it is what is opened
    with replacing(file, ".bin") as beside:
        # halving to float16 would include the numbers that decode boxes
        openvino.save_model(model, beside, compress_to_fp16=False)
