"""What a container serves: the model of its folder, by the settings of its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from ssdreg.errors import DataError
from ssdreg.exporting.export import export
from ssdreg.sagemaker.artifacts import ONNX, SYMBOL

#: All addresses: a container is reached from outside of it alone.
HOST, PORT = "0.0.0.0", 8080
#: Set where a container may not choose its port.
PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
#: Threads that decode pictures, and seconds for a request.
WORKERS_VARIABLE = "SAGEMAKER_MODEL_SERVER_WORKERS"
TIMEOUT_VARIABLE = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
#: The name of the model in addresses of the server's own.
NAME = "model"


@frozen
class Environment:
    """What the environment of a serving container says; None where it says nothing."""

    port: int = PORT
    workers: int | None = None
    timeout: int | None = None


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Read the environment; raise DataError for a variable that is no whole number."""
    port = _whole(variables, PORT_VARIABLE)
    return Environment(PORT if port is None else port, _whole(variables, WORKERS_VARIABLE),
                       _whole(variables, TIMEOUT_VARIABLE))


def _whole(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise DataError(f"{name} is {text!r}, and must be a whole number")
    return int(text)


def served_file(folder: Path, work: Path) -> Path:
    """Return the file to serve from a model folder.

    That is the ONNX file of a job here, or the only one; what the built-in algorithm has left is
    written as one, into `work`. Raises DataError where there is neither, and what exporting raises.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not there: a container is given its model in it; name the "
                        f"folder above it by --root")
    if (folder / ONNX).is_file():
        return folder / ONNX
    others = sorted(folder.glob("*.onnx"))
    if len(others) == 1:
        return others[0]
    archives = sorted(folder.glob("*.tar.gz"))
    checkpoint = next((folder for _ in folder.glob("*-symbol.json")), None)
    if checkpoint is None and len(archives) == 1:
        checkpoint = archives[0]
    if checkpoint is None:
        raise DataError(f"{folder} holds no model: neither {ONNX} nor {SYMBOL}, but "
                        f"{', '.join(sorted(file.name for file in folder.iterdir())) or 'nothing'}")
    return export(checkpoint, out=work / ONNX, batch_size=None).file
