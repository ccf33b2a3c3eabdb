"""The command ``ssdreg-detect MODEL IMAGE|DIR|VIDEO|-``: what does a detector see in these?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime._version import __version__
from ssdreg_runtime.cli.common import (
    add_backend_arguments,
    add_device_argument,
    add_json_arguments,
    add_look_arguments,
    add_saving_arguments,
    add_selection_arguments,
    add_source_arguments,
    detect_sources,
    objects_of,
    only,
)
from ssdreg_runtime.errors import SsdregError
from ssdreg_runtime.system.console import accept_all_letters, unprintable

if TYPE_CHECKING:
    from ssdreg_runtime.inference.detector import Detector

PROGRAM = "ssdreg-detect"

DESCRIPTION = ("Detect objects in images, folders, videos and standard input with a detector that "
               "`ssdreg export` wrote, and draw them.")

#: Exit statuses: 1 when a picture was passed over, bad input 2, an interruption 128 + SIGINT.
BAD_INPUT, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return call(PROGRAM, lambda: _run(parser().parse_args(argv)))


def call(program: str, run: Callable[[], int]) -> int:
    """Run a command and return its exit status; what is wrong with its input is a sentence."""
    accept_all_letters()
    try:
        status = run()
        # here and not at exit, so that a closed pipe is noticed below
        sys.stdout.flush()
        return status
    except SsdregError as error:
        return _fail(program, str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _fail(program, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader closed the pipe (`... | head`): end without a message, also when Python
        # flushes its buffers
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    except UnicodeEncodeError as error:
        return _fail(program, unprintable(error), BAD_INPUT)
    except OSError as error:
        if error.filename is None:
            raise
        # a full disk, a folder that may not be written, a file where a folder should be; of the
        # two names of a rename the second is the one the user knows
        return _fail(program, f"{error.filename2 or error.filename}: {error.strerror}", BAD_INPUT)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    command_parser = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION)
    command_parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    command_parser.add_argument("model", type=Path, metavar="MODEL",
                                help="the detector, .onnx or OpenVINO's .xml")
    add_source_arguments(command_parser)
    add_selection_arguments(command_parser)
    add_json_arguments(command_parser)
    add_saving_arguments(command_parser)
    add_look_arguments(command_parser)
    add_backend_arguments(command_parser, ("auto", "onnxruntime", "openvino"), "auto",
                          "auto takes OpenVINO where it is installed")
    add_device_argument(command_parser)
    return command_parser


def _run(options: argparse.Namespace) -> int:
    def open_detector() -> Detector:
        from ssdreg_runtime.inference.detector import Detector
        return Detector(options.model, options.backend, options.threads, options.precision,
                        options.device, options.iou, options.max_det, only(options))

    return detect_sources(options, open_detector, PROGRAM, objects_of(options))


def _fail(program: str, sentence: str, status: int) -> int:
    print(f"{program}: {sentence}", file=sys.stderr)
    return status
