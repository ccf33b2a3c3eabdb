"""``ssdreg bench``: how fast is a detector here, with every engine and precision there is?"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments

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
    from ssdreg.bench.benchmark import benchmark
    from ssdreg.cli.progress import Console
    from ssdreg.drawing.latency_chart import check_chart, draw_chart
    if options.chart is not None:
        check_chart(options.chart)  # and not after minutes
    figures = benchmark(
        options.detector, data_shape=options.data_shape, head=options.head,
        num_classes=options.num_classes, tap_strides=options.tap_strides,
        batch_size=options.batch_size, backends=options.backends, precisions=options.precisions,
        rounds=options.rounds, threads=options.threads, images=options.images, post=options.post,
        peak=not options.no_peak, progress=Console())
    if options.json:
        print(to_json(figures.to_dict(), indent=2))
    else:
        print((tables.markdown if options.markdown else tables.text)(figures))
    if options.chart is not None:
        draw_chart(figures, options.chart)
    return 0


def _names(text: str) -> tuple[str, ...]:
    """Read ``openvino,mxnet``."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
