"""``ssdreg export``: a run or an old checkpoint becomes one file that needs no MXNet."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command
from ssdreg.errors import DependencyError, ExportError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from ssdreg_runtime.backends.facts import ModelFacts

    from ssdreg.deploy.model import DeployModel
    from ssdreg.export import Options
    from ssdreg.export.parity import Parity

NAME = "export"
SUMMARY = "write a run or an old checkpoint as one ONNX file, suppression included"

FORMATS = ("onnx",)
PRECISIONS = ("float32", "float16")
#: What the name of a checkpoint ends with; the file is called as it without that.
_ENDINGS = (".tar.gz", ".tgz", "-symbol.json", ".json", ".params")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="RUN|CHECKPOINT",
                        help="a run; or a checkpoint: a prefix, a .params file, a -symbol.json, "
                             "or a model.tar.gz")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="the kind of file")
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
    from ssdreg.checkpoints.files import read_class_names
    from ssdreg.deploy.model import open_deploy_model
    from ssdreg.export import Options, write_onnx
    chosen = Options(batch=None if options.dynamic_batch else options.batch_size,
                     opset=options.opset, nms=not options.no_nms, precision=options.precision)
    file = options.out or default_file(options.path)
    _refuse(file)
    files = _check_images(options.check, chosen)
    classes = read_class_names(options.classes) if options.classes else None
    source = open_deploy_model(options.path, options.epoch, classes, options.data_shape,
                               arguments.preprocessing(options))
    images = _pixels(files, source) if files else None
    replaced = file.exists()
    write_onnx(source, file, chosen)
    print(_describe(file, source, chosen, "replaced" if replaced else "written"))
    return 0 if images is None else _compare(source, file, images, chosen.precision)


def default_file(path: Path) -> Path:
    """Return where a run or a checkpoint is exported to, unless a file is named."""
    if path.is_dir():
        return path / "model.onnx"
    ending = next((each for each in _ENDINGS if path.name.endswith(each)), "")
    return path.with_name(f"{path.name[:len(path.name) - len(ending)]}.onnx")


def _refuse(file: Path) -> None:
    """Raise ExportError for a file that should not be written, or not be replaced."""
    if file.suffix != ".onnx":
        raise ExportError(f"--out {file} does not end in .onnx, by which runtimes know the format")
    if file.is_dir():
        raise ExportError(f"{file} is a folder: choose another --out")
    if file.exists() and not _is_ours(file):
        raise ExportError(f"{file} is there already and was not written by ssdreg: move it away, "
                          f"or choose another --out")


def _is_ours(file: Path) -> bool:
    from ssdreg_runtime.backends.facts import PREFIX
    from ssdreg_runtime.backends.onnx_file import read_metadata
    try:
        with file.open("rb") as stream:  # the weights are not read
            return f"{PREFIX}format" in read_metadata(stream, str(file))
    except ModelError:
        return False


def _check_images(paths: Sequence[Path], chosen: Options) -> list[Path]:
    """Return the images to compare with, before anything is written."""
    from ssdreg_runtime.backends import installed
    from ssdreg_runtime.io.pictures import find_images
    from ssdreg_runtime.system.installing import install
    if paths and not chosen.nms:
        raise ExportError("--check compares detections, which a file with --no-nms does not make: "
                          "leave one of them out")
    if paths and not installed():
        raise DependencyError("--check runs the file, and neither OpenVINO nor ONNX Runtime is "
                              f"installed: run `{install('onnxruntime')}`")
    return [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]


def _pixels(files: Sequence[Path], source: DeployModel) -> np.ndarray:
    import numpy as np
    from ssdreg_runtime.io.images import prepare
    return np.stack([prepare(file, source.plan.data_shape).pixels for file in files])


def _describe(file: Path, source: DeployModel, chosen: Options, done: str) -> str:
    """Say in a few lines what was done, and what the file is."""
    from ssdreg.deploy.mxnet_backend import facts_of
    plan, facts = source.plan, facts_of(source)
    batch = "any number" if chosen.batch is None else chosen.batch
    height, width = plan.data_shape
    outputs = (f"detection: {_suppression(facts)}" if chosen.nms else
               f"scores and boxes of all {plan.anchors:,} anchors, without suppression")
    rows = [
        (done, f"{file} ({file.stat().st_size / 1e6:.1f} MB)"),
        ("network", f"{plan.backbone}, {plan.head}, opset {chosen.opset}, {chosen.precision}"),
        ("input", f"images: {height}x{width} pixels of RGB, {batch} at a time"),
        ("output", outputs),
        ("classes", f"{len(source.classes)} ({', '.join(source.classes)})")]
    lines = [f"{name + ':':16}{text}" for name, text in rows]
    # what gives no detections is for a program that suppresses by itself
    lines.append(f"look at it with: {command('ssdreg', 'predict', file, 'IMAGE')}" if chosen.nms
                 else "for a runtime of your own; `ssdreg predict` takes a file without --no-nms")
    return "\n".join(lines)


def _suppression(facts: ModelFacts) -> str:
    if not 0 < facts.nms_threshold <= 1:
        return f"scores from {facts.threshold:g} on, without suppression"
    looked_at = f"the {facts.nms_topk} best" if facts.nms_topk > 0 else "all"
    across = ", across classes" if facts.force_suppress else ""
    return (f"scores from {facts.threshold:g} on, {looked_at}, suppressed from an IoU of "
            f"{facts.nms_threshold:g} on{across}")


def _compare(source: DeployModel, file: Path, images: np.ndarray, precision: str) -> int:
    """Compare with MXNet, print what differs, and return the exit status."""
    from ssdreg_runtime.system.tables import text_table

    from ssdreg.export.checking import agrees, compare_file
    found = compare_file(source, file, images)
    print(f"\ncompared with MXNet on {len(images)} image{'s' if len(images) > 1 else ''}:")
    print(text_table(
        ("runtime", "boxes", "scores differ by", "coordinates by", "ties", "verdict"),
        [(name, f"{each.boxes:,}", f"{each.score:.1e}", f"{each.coordinate:.1e}", str(each.ties),
          _verdict(each, precision)) for name, each in found.items()]))
    for name, each in found.items():
        for sentence in each.sentences:
            print(f"{name}: {sentence}")
    return 0 if all(agrees(each, precision) for each in found.values()) else 1


def _verdict(found: Parity, precision: str) -> str:
    from ssdreg.export.checking import agrees
    if found.equal:
        return "equal"
    return (f"equal but for {found.mismatches}" if agrees(found, precision)
            else f"{found.mismatches} DIFFERENT")
