"""The files by which a training job is told what to do: folders, configuration, channels.

SageMaker starts a container with a folder, ``/opt/ml``, that holds all of it. The folder is a
parameter here, so that a job can be laid out anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from ssdreg.data.json_file import read_json
from ssdreg.errors import DataError

#: Where SageMaker lays a job out.
ROOT = Path("/opt/ml")

FILE_MODES, PIPE_MODE = ("File", "FastFile"), "Pipe"
#: The channels of the built-in object detection; `MODEL` holds a model to go on with.
TRAIN, VALIDATION, MODEL = "train", "validation", "model"
ANNOTATION = "_annotation"


@frozen
class Folders:
    """The folders of a job, below its root."""

    root: Path

    @property
    def config(self) -> Path:
        """Hyperparameters, channels and machines, as JSON."""
        return self.root / "input" / "config"

    @property
    def data(self) -> Path:
        """The channels: a folder each, or pipes."""
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz; what is served lies here, too."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """What is kept between the starts of a job; there only where the job asks for it."""
        return self.root / "checkpoints"

    @property
    def failure(self) -> Path:
        """The text that becomes the reason of a failed job."""
        return self.root / "output" / "failure"


@frozen
class Channel:
    """One source of data: its folder, and whether it is a pipe. What is in it, looking tells."""

    name: str
    folder: Path
    piped: bool = False

    @property
    def pipe(self) -> Path:
        """The pipe of the first epoch."""
        return self.folder.with_name(f"{self.folder.name}_0")


@frozen
class Job:
    """What a training job is told.

    - `hyperparameters`: by name, as text
    - `channels`: by name, those that are configured
    - `host`: the name of this machine; `hosts`: how many train together
    """

    folders: Folders
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Channel]
    host: str
    hosts: int


def read_job(folders: Folders) -> Job:
    """Read a job's configuration; raise DataError for a file that is missing or damaged."""
    hyperparameters = _read(folders.config / "hyperparameters.json")
    inputs = _read(folders.config / "inputdataconfig.json")
    machines_file = folders.config / "resourceconfig.json"
    # a job that somebody lays out by hand has one machine, and need not say so
    machines = _read(machines_file) if machines_file.is_file() else {}
    hosts = machines.get("hosts") or ["algo-1"]
    if not isinstance(hosts, list):
        raise DataError(f"{machines_file}: hosts is no list of machines: {hosts!r}")
    return Job(folders, {name: str(value) for name, value in hyperparameters.items()},
               {name: _channel(folders, name, settings) for name, settings in inputs.items()},
               str(machines.get("current_host") or hosts[0]), len(hosts))


def _channel(folders: Folders, name: str, settings: Any) -> Channel:
    where = f"{folders.config / 'inputdataconfig.json'}: channel {name!r}"
    if not isinstance(settings, dict):
        raise DataError(f"{where} is no JSON object with settings")
    mode = settings.get("TrainingInputMode") or FILE_MODES[0]
    if mode not in (*FILE_MODES, PIPE_MODE):
        raise DataError(f"{where} has the TrainingInputMode {mode!r}: choose one of "
                        f"{', '.join((*FILE_MODES, PIPE_MODE))}")
    if Path(name).name != name:
        raise DataError(f"{where} has no name that a folder can have")
    return Channel(name, folders.data / name, mode == PIPE_MODE)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except FileNotFoundError as error:
        raise DataError(f"{file} is not there: a job is told by this file what to do; start this "
                        f"in a container of SageMaker's, or lay its folders out, and name the "
                        f"folder by --root") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} holds no JSON object")
    return content


def forget_failure(folders: Folders) -> None:
    """Delete the reason of an earlier failure."""
    if folders.failure.is_file():
        folders.failure.unlink()


def write_failure(folders: Folders, reason: str) -> None:
    """Write why a job failed, of which SageMaker shows the first 1,024 characters.

    Where there is no folder of a job at all, none is made.
    """
    if folders.root.is_dir():
        folders.failure.parent.mkdir(parents=True, exist_ok=True)
        folders.failure.write_bytes(os.fsencode(reason))
