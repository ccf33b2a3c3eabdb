"""The command ``ssdreg-detect MODEL IMAGE|DIR|VIDEO|-``: what does a detector see in these?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime._version import __version__
from ssdreg_runtime.cli.common import (
    add_backend_arguments,
    add_json_arguments,
    add_look_arguments,
    add_source_arguments,
    detect_sources,
    objects_of,
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
    accept_all_letters()
    options = parser().parse_args(argv)
    try:
        status = _run(options)
        # here and not at exit, so that a reader who went away is noticed below
        sys.stdout.flush()
        return status
    except SsdregError as error:
        return _end(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output went away (`... | head`); leave without a word, also when
        # Python flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    except UnicodeEncodeError as error:
        return _end(unprintable(error), BAD_INPUT)
    except OSError as error:
        if error.filename is None:
            raise
        # a full disk, a folder that may not be written, a file where a folder should be; of the
        # two names of a rename the second is the one the user knows
        return _end(f"{error.filename2 or error.filename}: {error.strerror}", BAD_INPUT)


def parser() -> argparse.ArgumentParser:
    """Build the parser."""
    made = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION)
    made.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    made.add_argument("model", type=Path, metavar="MODEL",
                      help="the detector, .onnx or OpenVINO's .xml")
    add_source_arguments(made)
    add_json_arguments(made)
    add_look_arguments(made)
    add_backend_arguments(made, ("auto", "onnxruntime", "openvino"), "auto",
                          "auto takes OpenVINO where it is installed")
    return made


def _run(options: argparse.Namespace) -> int:
    def open_detector() -> Detector:
        from ssdreg_runtime.inference.detector import Detector
        return Detector(options.model, options.backend, options.threads, options.precision)

    return detect_sources(options, open_detector, PROGRAM, objects_of(options))


def _end(sentence: str, status: int) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return status
