"""``ssdreg bench``: how fast is a detector here, with every engine and precision there is?"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments
from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.bench.figures import Figures
    from ssdreg.deploy.model import DeployModel

NAME = "bench"
SUMMARY = "measure a detector's latency with every backend and precision, in turns"

#: Of a backbone's detector, whose weights are random.
CLASSES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("detector", metavar="RUN|CHECKPOINT|BACKBONE",
                        help="a run, a checkpoint, or a name from `ssdreg list`, which gets random "
                             "weights")
    parser.add_argument("--data-shape", type=arguments.shape, metavar="SIDE|HxW",
                        help=f"the network's input in pixels; a run knows its own, a backbone "
                             f"gets {arguments.DATA_SHAPE}")
    parser.add_argument("--head", help=f"the detection head of a BACKBONE; {arguments.HEAD} by "
                                       f"default")
    parser.add_argument("--num-classes", type=int, metavar="N",
                        help=f"how many classes a BACKBONE tells apart, without background; "
                             f"{CLASSES} by default")
    parser.add_argument("--tap-strides", type=arguments.numbers, metavar="STRIDES",
                        help="the taps of a BACKBONE that feed detection, by stride: 8,16,32")
    parser.add_argument("--batch-size", type=arguments.numbers, default="1", metavar="SIZES",
                        help="images at a time: 1, or 1,4 for both")
    parser.add_argument("--backends", type=_names, default=(), metavar="LIST",
                        help="mxnet,onnxruntime,openvino; all by default")
    parser.add_argument("--precisions", type=_names, default=(), metavar="LIST",
                        help="float32,bfloat16,int8; all by default")
    parser.add_argument("--rounds", type=int, default=20, metavar="N",
                        help="turns that each of them gets")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="threads each of them computes with; the real cores by default")
    parser.add_argument("--images", type=Path, metavar="DIR",
                        help="photos to look at and to calibrate int8 with; drawn ones by default")
    parser.add_argument("--post", action="store_true",
                        help="measure what post-processing takes too, in float32")
    parser.add_argument("--no-peak", action="store_true",
                        help="do not measure how fast matrices are multiplied here")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--markdown", action="store_true", help="print Markdown")
    shown.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw bars into an .svg or .png")


def run(options: argparse.Namespace) -> int:
    """Measure, print and draw."""
    from ssdreg.bench import tables
    from ssdreg.drawing.latency_chart import check_chart, draw_chart
    for name, least in (("rounds", 1), ("threads", 1), ("num-classes", 1)):
        value = getattr(options, name.replace("-", "_"))
        if value is not None and value < least:
            raise SsdregError(f"--{name} {value} cannot be: give {least} or more")
    if min(options.batch_size) < 1:
        sizes = ",".join(map(str, options.batch_size))
        raise SsdregError(f"--batch-size {sizes}: give 1 or more images")
    if options.chart is not None:
        check_chart(options.chart)  # and not after minutes
    figures = _measure(options)
    if options.json:
        print(to_json(figures.to_dict(), indent=2))
    else:
        print((tables.markdown if options.markdown else tables.text)(figures))
    if options.chart is not None:
        draw_chart(figures, options.chart)
    return 0


def _measure(options: argparse.Namespace) -> Figures:
    from ssdreg.bench.comparison import Settings, compare
    from ssdreg.bench.configurations import choose
    from ssdreg.bench.measure import Schedule
    from ssdreg.bench.peak import SIDES
    from ssdreg.bench.progress import Progress
    from ssdreg.bench.workload import drawn_images, prepare_workload, read_images
    choice = choose(options.backends, options.precisions)
    source = _source(options)
    images = (drawn_images(source.plan.data_shape) if options.images is None
              else read_images(options.images, source.plan.data_shape))
    settings = Settings(batches=tuple(dict.fromkeys(options.batch_size)), threads=options.threads,
                        schedule=Schedule(rounds=options.rounds), post=options.post,
                        sides=() if options.no_peak else SIDES)
    with tempfile.TemporaryDirectory(prefix="ssdreg-bench-") as folder, Progress() as report:
        prepared = prepare_workload(source, images, Path(folder))
        return compare(prepared, choice, settings, Path(folder), report)


def _source(options: argparse.Namespace) -> DeployModel:
    """Open the run or checkpoint, or build the backbone's detector."""
    from ssdreg.deploy.model import open_deploy_model, random_deploy_model
    from ssdreg.detector.overrides import Overrides
    path = Path(options.detector)
    given = {name: getattr(options, name) for name in ("head", "num_classes", "tap_strides")
             if getattr(options, name) is not None}
    # a prefix of a checkpoint is no file itself
    if path.exists() or os.sep in options.detector:
        for name in given:
            option = name.replace("_", "-")
            raise SsdregError(f"--{option} goes with a backbone: {path} knows its own, leave it "
                              f"out")
        return open_deploy_model(path, data_shape=options.data_shape)
    return random_deploy_model(options.detector, options.num_classes or CLASSES,
                               options.data_shape or arguments.DATA_SHAPE,
                               options.head or arguments.HEAD,
                               Overrides(tap_strides=options.tap_strides))


def _names(text: str) -> tuple[str, ...]:
    """Read ``openvino,mxnet``."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
