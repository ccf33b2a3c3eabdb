"""``ssdreg export``: a run or an old checkpoint becomes a file or a folder that needs no MXNet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command
from ssdreg.errors import ExportError
from ssdreg.exporting.options import (
    INPUTS,
    OLDEST_OPSET,
    ONNX,
    OPENVINO,
    PRECISIONS,
    SUFFIXES,
)

NAME = "export"
SUMMARY = ("write a run or an old checkpoint as one ONNX file, suppression included, or as a "
           "PyTorch module")

#: The options that are of a file alone, by what they are without being given.
OF_A_FILE = {"batch_size": None, "dynamic_batch": False, "opset": None, "no_nms": False,
             "precision": None, "input": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="RUN|CHECKPOINT|NAME",
                        help="a run; a checkpoint: a prefix, a .params file, a -symbol.json, or a "
                             "model.tar.gz; the name of a detector that comes with weights; or an "
                             ".onnx file of ssdreg, for another --input or --format")
    parser.add_argument("--format", default=ONNX, metavar="NAME",
                        help=f"what is written: {ONNX}, one file; {OPENVINO}, OpenVINO's own two; "
                             f"or torch, a folder with a module of PyTorch, to detect and to "
                             f"train it further")
    parser.add_argument("--out", type=Path, metavar="FILE|FOLDER",
                        help="the file or folder; by default model.onnx, model.xml or torch in a "
                             "run's folder, and beside a checkpoint one of its name")
    parser.add_argument("--input", choices=INPUTS,
                        help="what the file takes: images, resized to the network's size already "
                             "(the default); or image, one picture of any size as it is, whose "
                             "objects it gives in pixels")
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument("--batch-size", type=int, metavar="N",
                       help="images at a time, 1 by default")
    batch.add_argument("--dynamic-batch", action="store_true",
                       help="any number of images at a time, chosen when it runs")
    parser.add_argument("--opset", type=int, metavar="N",
                        help=f"the set of ONNX operators to use, {OLDEST_OPSET} (the default) or "
                             f"later")
    parser.add_argument("--no-nms", action="store_true",
                        help="leave suppression out: the file gives the scores and the box of "
                             "every anchor")
    parser.add_argument("--precision", choices=PRECISIONS,
                        help="what the network is stored and computed in, float32 by default; "
                             "float16 is half the size")
    arguments.add_checkpoint(parser)
    parser.add_argument("--check", type=Path, nargs="+", default=(), metavar="IMAGE|DIR",
                        help="compare what was written, on these images, with what MXNet finds: a "
                             "file on every runtime that is installed, a folder by what it is "
                             "for; the exit status is 1 when something differs")


def run(options: argparse.Namespace) -> int:
    """Export, say what was written, and compare it with MXNet where images are given."""
    arguments.fetch_named(options.path)
    return _file(options) if options.format in SUFFIXES else _folder(options)


def _folder(options: argparse.Namespace) -> int:
    """Export to a folder."""
    from ssdreg.exporting.folder import (
        ExportedFolder,
        describe_folder,
        export_folder,
        folder_exporter,
    )
    from ssdreg.exporting.report import compared
    folder_exporter(options.format)  # before an option is refused for its sake
    for name, idle in OF_A_FILE.items():
        if getattr(options, name) != idle:
            raise ExportError(f"--{name.replace('_', '-')} is of an ONNX file, and --format "
                              f"{options.format} writes a folder without it: leave it out")

    def tell(exported: object) -> None:
        assert isinstance(exported, ExportedFolder)
        print(describe_folder(exported))
        print(f"how to use it: {exported.folder / 'README.md'}")

    exported = export_folder(
        options.path, options.format, out=options.out, epoch=options.epoch,
        check=options.check, progress=tell, **arguments.told(options))
    if exported.parity is not None:
        print(f"\n{compared(exported.images, {exported.format: exported.parity})}")
    return 0 if exported.agrees else 1


def _file(options: argparse.Namespace) -> int:
    """Export to one file."""
    from ssdreg.exporting.export import export
    from ssdreg.exporting.report import compared
    # what is not given is left to the defaults of `ssdreg.export`
    given = {name: getattr(options, name) for name in ("opset", "batch_size", "precision", "input")
             if getattr(options, name) is not None}
    if options.dynamic_batch:
        given["batch_size"] = None
    exported = export(
        options.path, out=options.out, format=options.format, nms=not options.no_nms,
        epoch=options.epoch, check=options.check, progress=_tell, **arguments.told(options),
        **given)
    if exported.images:
        print(f"\n{compared(exported.images, exported.parity, exported.options.precision)}")
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
