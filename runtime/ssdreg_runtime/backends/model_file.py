"""Model files: checked before a backend reads them, and the interface that each must have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from attrs import field, frozen

from ssdreg_runtime.backends import ir_file, onnx_file
from ssdreg_runtime.backends.facts import PREFIX, ModelFacts, read_facts
from ssdreg_runtime.errors import ModelError

INPUT, OUTPUT = "images", "detection"
#: The input of a model that takes one picture as it is, and its outputs.
IMAGE, IMAGE_OUTPUTS = "image", ("boxes", "scores", "labels")
#: Outputs of a model that was exported without non-maximum suppression.
RAW_OUTPUTS = ("boxes", "scores")

#: The extension of OpenVINO's own files; the weights are in a .bin file beside.
IR = ".xml"

#: Characters of a runtime's message that are shown; all of it is in the chained error.
_MAX_REASON_LENGTH = 200


@frozen
class ModelFile:
    """A model: a file, or the bytes of an ONNX file.

    `name` is its name in messages; `facts.batch` is None, since the batch is read from the graph.
    """

    name: str
    path: Path | None
    content: bytes | None = field(repr=False)
    facts: ModelFacts

    @property
    def is_ir(self) -> bool:
        """Whether it is a file of OpenVINO's own format."""
        return self.path is not None and self.path.suffix.lower() == IR


def describe(model: str | os.PathLike[str] | bytes, name: str) -> ModelFile:
    """Check a model file and read its metadata; `name` is the name of bytes in messages.

    Raises ModelError for a file that is missing, truncated, or no detector of ssdreg.
    """
    if isinstance(model, bytes):
        metadata = onnx_file.read_metadata(BytesIO(model), name)
        return ModelFile(name, None, model, _read_facts(metadata, name))
    file = Path(model)
    if file.is_dir():
        raise ModelError(f"{file} is a folder and no model file: give the .onnx or .xml file that "
                         f"`ssdreg export` or `ssdreg quantize` wrote; a run's folder is opened by "
                         f"ssdreg, which knows MXNet")
    if not file.exists():
        raise ModelError(f"{file} is not there: give a model file, .onnx or .xml")
    if file.stat().st_size == 0:
        raise ModelError(f"{file} is empty: fetch or export it again")
    if file.suffix.lower() == IR:
        metadata = ir_file.read_metadata(file)
    else:
        with file.open("rb") as stream:
            metadata = onnx_file.read_metadata(stream, str(file))
    return ModelFile(str(file), file, None, _read_facts(metadata, str(file)))


def _read_facts(metadata: dict[str, str], name: str) -> ModelFacts:
    return read_facts({key[len(PREFIX):]: value for key, value in metadata.items()
                       if key.startswith(PREFIX)}, None, name)


def unreadable_error(file: ModelFile, package: str, version: str, error: Exception) -> ModelError:
    """Return the error for a file that a backend refuses, to be raised from the backend's own."""
    return ModelError(f"{file.name} cannot be opened by {package} {version}: it is damaged, or "
                      f"newer than this version knows (then try `pip install -U {package}`): "
                      f"{_reason(error)}")


def failed_error(name: str, package: str, error: Exception) -> ModelError:
    """Return the error for a model that a backend opened, and that failed when it ran."""
    return ModelError(f"{name} cannot be run by {package}: it is damaged, or there is no memory "
                      f"left: {_reason(error)}; fetch or export it again")


def _reason(error: Exception) -> str:
    reason = " ".join(str(error).split())
    return (reason if len(reason) <= _MAX_REASON_LENGTH
            else f"...{reason[-_MAX_REASON_LENGTH:].lstrip()}")


def takes_picture(inputs: Sequence[str], outputs: Sequence[str]) -> bool:
    """Tell whether a model with these inputs and outputs takes one picture of any size."""
    return list(inputs) == [IMAGE] and list(outputs) == list(IMAGE_OUTPUTS)


def check_interface(name: str, inputs: Sequence[str], outputs: Sequence[str],
                    shape: Sequence[int | None], facts: ModelFacts) -> None:
    """Raise ModelError unless a model has the inputs and outputs of a detector.

    `shape` is that of the first input, with None where any number will do.
    """
    if sorted(outputs) == list(RAW_OUTPUTS):
        raise ModelError(f"{name} was exported without non-maximum suppression, and gives scores "
                         f"and boxes of every anchor: export it without --no-nms to detect with it")
    if list(inputs) != [INPUT] or list(outputs) != [OUTPUT]:
        raise ModelError(f"{name} has the inputs {', '.join(inputs)} and the outputs "
                         f"{', '.join(outputs)}, where a detector has {INPUT} and {OUTPUT}: "
                         f"export it again")
    if tuple(shape[1:]) != (*facts.data_shape, 3):
        height, width = facts.data_shape
        raise ModelError(f"{name} takes images of the shape {tuple(shape)}, but its metadata say "
                         f"{height}x{width} pixels: export it again")
