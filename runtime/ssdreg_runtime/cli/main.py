"""The command ``ssdreg-detect MODEL IMAGE|DIR|VIDEO|-``: what does a detector see in these?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime._version import __version__
from ssdreg_runtime.cli.calling import Parser, call
from ssdreg_runtime.cli.common import (
    add_backend_arguments,
    add_device_argument,
    add_json_arguments,
    add_look_arguments,
    add_ray_arguments,
    add_saving_arguments,
    add_selection_arguments,
    add_source_arguments,
    detect_sources,
    objects_of,
    only,
)

if TYPE_CHECKING:
    from ssdreg_runtime.inference.detector import Detector

PROGRAM = "ssdreg-detect"

DESCRIPTION = ("Detect objects in images, folders, videos and standard input with a detector that "
               "`ssdreg export` wrote, and draw them.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return call(PROGRAM, lambda: _run(parser().parse_args(argv)))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    command_parser = Parser(prog=PROGRAM, description=DESCRIPTION)
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
    add_ray_arguments(command_parser)
    return command_parser


def _run(options: argparse.Namespace) -> int:
    def open_detector() -> Detector:
        from ssdreg_runtime.inference.detector import Detector
        return Detector(options.model, options.backend, options.threads, options.precision,
                        options.device, options.iou, options.max_det, only(options))

    return detect_sources(options, open_detector, PROGRAM, objects_of(options))
