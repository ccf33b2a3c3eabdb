"""``ssdreg predict``: what does a detector see in these pictures, videos or standard input?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.cli.common import (
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

from ssdreg.cli.commands import arguments

if TYPE_CHECKING:
    from ssdreg_runtime.inference.detector import Detector

NAME = "predict"
SUMMARY = "detect objects in images, videos or standard input, and draw them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=arguments.MODEL)
    add_source_arguments(parser)
    arguments.add_checkpoint(parser)
    add_selection_arguments(parser)
    add_json_arguments(parser)
    add_saving_arguments(parser)
    add_look_arguments(parser)
    arguments.add_backend(parser)
    add_ray_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Detect in all sources; a bad picture is named and passed over, and the status is then 1."""
    if options.ray is not None:
        from ssdreg.inference.detector import check_exported, is_exported
        # it is opened by the workers, which are told nothing of it
        if is_exported(options.model):
            check_exported(options.model, options.epoch, **arguments.told(options))
    return detect_sources(options, lambda: _detector(options), "ssdreg", objects_of(options))


def _detector(options: argparse.Namespace) -> Detector:
    from ssdreg_runtime.backends import BACKENDS
    from ssdreg_runtime.inference.detector import Detector
    detector = Detector.on(arguments.open_backend(options, options.iou), options.max_det,
                           only(options))
    if detector.backend not in BACKENDS:
        # a batch of one: no image waits for others, and no padding is computed
        detector.batch_size = 1
    return detector
