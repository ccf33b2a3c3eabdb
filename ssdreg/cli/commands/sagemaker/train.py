"""``ssdreg sagemaker train``: a training job, as SageMaker starts it in a container."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType

from ssdreg.cli.commands import arguments
from ssdreg.errors import Interrupted, SsdregError
from ssdreg.sagemaker.contract import ROOT, Folders, write_failure

NAME = "train"
SUMMARY = ("train a job whose hyperparameters and channels lie in the folder of SageMaker's "
           "contract")

#: The exit status after SIGTERM, as that of any process that it ends.
TERMINATED = 128 + signal.SIGTERM


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR",
                        help="the folder of the job, with input, model, checkpoints and output")
    arguments.add_engine(parser)
    arguments.add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Train; after a failure its reason is in the file that SageMaker reads."""
    from ssdreg.sagemaker.train import train_job
    folders = Folders(options.root)
    with _stoppable():
        try:
            train_job(folders, _print_line, engine=options.engine, device=options.device)
        except Interrupted:
            print("ssdreg: stopped by SIGTERM; the same job started again goes on from its "
                  "checkpoint folder, where it has one", file=sys.stderr)
            return TERMINATED
        except SsdregError as error:
            write_failure(folders, str(error))
            raise
        except Exception as error:
            # whatever it is, the job's page is where it is looked for
            write_failure(folders, f"{type(error).__name__}: {error}")
            raise
    return 0


def _print_line(text: str) -> None:
    """Print a line of the log, with its time, as the containers of the built-in algorithms do."""
    print(f"[{datetime.now():%m/%d/%Y %H:%M:%S} INFO {threading.get_ident()}] {text}", flush=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM interrupt what is under way; a training stops between two of its steps.

    The first process of a container is not ended by a signal that it does not handle.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted
