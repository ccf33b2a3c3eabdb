"""``ssdreg export``: a run or an old checkpoint becomes one file that needs no MXNet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command

NAME = "export"
SUMMARY = "write a run or an old checkpoint as one ONNX file, suppression included"

FORMATS = ("onnx",)
PRECISIONS = ("float32", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="RUN|CHECKPOINT",
                        help="a run; or a checkpoint: a prefix, a .params file, a -symbol.json, "
                             "or a model.tar.gz")
    parser.add_argument("--format", choices=FORMATS, default="onnx", metavar="NAME",
                        help=f"the kind of file: {' or '.join(FORMATS)}")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="the file; by default model.onnx in a run's folder, and beside a "
                             "checkpoint one of its name")
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument("--batch-size", type=int, default=1, metavar="N", help="images at a time")
    batch.add_argument("--dynamic-batch", action="store_true",
                       help="any number of images at a time, chosen when it runs")
    parser.add_argument("--opset", type=int, default=17, metavar="N",
                        help="the set of ONNX operators to use, 17 or later")
    parser.add_argument("--no-nms", action="store_true",
                        help="leave suppression out: the file gives the scores and the box of "
                             "every anchor")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0],
                        help="what the network is stored and computed in; float16 is half the size")
    arguments.add_checkpoint(parser)
    parser.add_argument("--check", type=Path, nargs="+", default=(), metavar="IMAGE|DIR",
                        help="compare what the file finds in these images with what MXNet finds, "
                             "on every runtime that is installed; the exit status is 1 when "
                             "something differs")


def run(options: argparse.Namespace) -> int:
    """Export, say what the file is, and compare it with MXNet where images are given."""
    from ssdreg.exporting.export import export
    from ssdreg.exporting.report import compared
    exported = export(
        options.path, out=options.out, nms=not options.no_nms, opset=options.opset,
        batch_size=None if options.dynamic_batch else options.batch_size,
        precision=options.precision, epoch=options.epoch, classes=arguments.classes(options),
        data_shape=options.data_shape, preprocessing=arguments.preprocessing(options),
        check=options.check, progress=_tell)
    if exported.images:
        print(f"\n{compared(exported)}")
    return 0 if exported.agrees else 1


def _tell(exported: object) -> None:
    """Say what was written, before it is compared."""
    from ssdreg.exporting.export import Exported
    from ssdreg.exporting.report import describe
    assert isinstance(exported, Exported)
    print(describe(exported))
    # what gives no detections is for a program that suppresses by itself
    print(f"look at it with: {command('ssdreg', 'predict', exported.file, 'IMAGE')}"
          if exported.options.nms else
          "for a runtime of your own; `ssdreg predict` takes a file without --no-nms")
