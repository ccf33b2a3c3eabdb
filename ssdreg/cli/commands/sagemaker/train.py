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
from ssdreg.sagemaker.contract import ROOT, Folders, forget_failure, write_failure

NAME = "train"
SUMMARY = ("train a job whose hyperparameters and channels lie in the folder of SageMaker's "
           "contract")

#: The exit status after SIGTERM, as that of any process that it ends.
TERMINATED = 128 + signal.SIGTERM


class _Terminated(KeyboardInterrupt):
    """SIGTERM came outside of training, which handles it itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR",
                        help="the folder of the job, with input, model, checkpoints and output")
    arguments.add_engine(parser)
    parser.add_argument("--device", metavar="NAME",
                        help="what an engine computes on: cpu, cuda, cuda:0,1 or mps; by default "
                             "cuda where an engine can, else cpu")


def run(options: argparse.Namespace) -> int:
    """Train; after a failure its reason is in the file that SageMaker reads."""
    from ssdreg.sagemaker.train import best_device, train_job
    folders = Folders(options.root)
    forget_failure(folders)
    with _stoppable():
        try:
            train_job(folders, _print_line, engine=options.engine,
                      device=options.device or best_device(options.engine))
        except (Interrupted, _Terminated):
            print("ssdreg: stopped; the same job started again goes on from its checkpoint folder, "
                  "where it has one", file=sys.stderr)
            return TERMINATED
        except SsdregError as error:
            _report(folders, str(error))
            raise
        except Exception as error:
            # whatever it is, the job's page is where it is looked for
            _report(folders, f"{type(error).__name__}: {error}")
            raise
    return 0


def _report(folders: Folders, reason: str) -> None:
    """Write why a job failed; a disk that does not take it must not hide the reason itself."""
    try:
        write_failure(folders, reason)
    except OSError as error:
        print(f"ssdreg: warning: {folders.failure} cannot be written: {error.strerror}",
              file=sys.stderr)


def _print_line(text: str) -> None:
    """Print a line of the log, with its time, as the containers of the built-in algorithms do."""
    print(f"[{datetime.now():%m/%d/%Y %H:%M:%S} INFO {threading.get_ident()}] {text}", flush=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM interrupt what is under way; a training stops between two of its steps.

    The first process of a container is not ended by a signal that it does not handle.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated
