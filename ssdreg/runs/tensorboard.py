"""The log of a run as TensorBoard reads it: event files, beside ``log.csv``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from ssdreg_runtime.system.files import stored
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.names import native

from ssdreg.errors import DependencyError
from ssdreg.runs.log import Epoch

#: The folder in a run that holds the event files.
FOLDER = "tensorboard"


class EventLog:
    """Writes a value a curve at every epoch; its folder is made with the first one.

    What an earlier training of the same run has written of the same or later epochs, because it
    was stopped and went on before them, is hidden. Raises DependencyError where tensorboardX is
    not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise DependencyError("files for TensorBoard are written by a package that is not "
                                  f"installed: run `{install('tensorboard', 'ssdreg')}`") from error
        self._folder = folder
        self._writer: Any = None

    def add(self, epoch: Epoch) -> None:
        """Write what the log says about an epoch, on the disk when this returns."""
        # not its SummaryWriter, whose thread writes some time after it was flushed
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import scalar
        with stored(self._folder):
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                # names hold the second of the clock, which a run that goes on at once may share
                self._writer = EventsWriter(native(self._folder / "events"), f".{epoch.epoch}")
                self._writer.write_event(Event(
                    wall_time=time.time(), step=epoch.epoch,
                    session_log=SessionLog(status=SessionLog.START)))
            for name, value in curves(epoch):
                self._writer.write_event(Event(wall_time=time.time(), step=epoch.epoch,
                                               summary=scalar(name, value)))
            self._writer.flush()

    def close(self) -> None:
        """End the file; nothing can be added afterwards."""
        if self._writer is not None:
            self._writer.close()


def curves(epoch: Epoch) -> Iterator[tuple[str, float]]:
    """Yield the name of every curve and its value at an epoch, but for what was not measured."""
    values = {"loss/classification": epoch.cls_loss, "loss/localization": epoch.loc_loss,
              "training/learning_rate": epoch.lr,
              "training/images_per_second": epoch.images_per_second,
              "VOC/mAP": epoch.map, "VOC/mAP_2007": epoch.map_07}
    if epoch.coco is not None:
        values.update({f"COCO/{name}": value for name, value in attrs.asdict(epoch.coco).items()})
    return ((name, value) for name, value in values.items() if not math.isnan(value))
