"""The outputs of a run while it is trained: its curves, and events for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ssdreg.drawing.curves import draw_curves
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import LOG
from ssdreg.runs.tensorboard import FOLDER, EventLog
from ssdreg.training.trainer import AfterEpoch

#: The picture of losses and mAP over the epochs, in the run's folder.
CURVES = "curves.png"


@contextmanager
def watching(run: Path, tensorboard: bool) -> Iterator[AfterEpoch]:
    """Yield the function to call after every epoch: it draws curves and writes events.

    `run` is the folder. Raises DependencyError where TensorBoard's writer is not installed.
    """
    with ExitStack() as stack:
        events = stack.enter_context(closing(EventLog(run / FOLDER))) if tensorboard else None

        def after_epoch(epoch: Epoch) -> None:
            draw(run)
            if events is not None:
                events.add(epoch)
        yield after_epoch


def draw(run: Path) -> None:
    """Draw the curves of the run in this folder."""
    draw_curves(run / LOG, run / CURVES, run.name)
