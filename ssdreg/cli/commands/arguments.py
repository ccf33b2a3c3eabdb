"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreg_runtime.cli.common import add_computation_arguments

from ssdreg.data.formats import FORMATS
from ssdreg.errors import SsdregError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg_runtime.backends import Backend

DATA_SHAPE, HEAD = 300, "ssd"
#: Options of a network to be trained, with defaults; a value equal to its default counts as not
#: given.
DETECTOR = {"tap_strides": None, "sizes": None, "loss": None, "box_loss": None, "head": HEAD,
            "data_shape": DATA_SHAPE}

#: What a detector is, for commands that take any kind.
MODEL = ("what `ssdreg train`, `ssdreg import`, `ssdreg quantize` or `ssdreg export` wrote, an old "
         "checkpoint, or the name of a detector that comes with weights (see `ssdreg list`)")


def shape(text: str) -> int | tuple[int, int]:
    """Read ``300`` or ``300x400`` (height x width)."""
    parts = text.lower().split("x")
    sides = [int(part) for part in parts if part.isdigit()]
    if len(sides) != len(parts) or len(sides) > 2 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a side nor HEIGHTxWIDTH in pixels, "
                                         f"as 300 or 300x400")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def numbers(text: str) -> tuple[int, ...]:
    """Read ``8,16,32``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, as 8,16,32"
                                         ) from None


def sizes(text: str) -> str | tuple[tuple[float, ...], ...]:
    """Read the name of a scheme, or sizes separated by commas, levels by slashes."""
    if not any(character.isdigit() for character in text):
        return text
    try:
        return tuple(tuple(float(part) for part in level.split(",")) for level in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a scheme nor a list of sizes, as "
                                         f"0.08,0.11/0.2,0.25") from None


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Declare what decides a detector's symbol, but for backbone and classes."""
    parser.add_argument("--data-shape", type=shape, default=DATA_SHAPE, metavar="SIDE|HxW",
                        help="the network's input in pixels")
    parser.add_argument("--head", default=HEAD, help="the detection head")
    parser.add_argument("--tap-strides", type=numbers, metavar="STRIDES",
                        help="the taps that feed detection, by stride: 8,16,32")
    parser.add_argument("--sizes", type=sizes, metavar="SCHEME|LIST",
                        help="anchor sizes: head (its own; SSD's are example), example, paper, "
                             "data (those that fit the boxes, where there are data), or those of "
                             "each level as shares of the image's height, as in "
                             "0.08,0.11/0.2,0.25/0.4,0.5")
    parser.add_argument("--loss", metavar="LOSS",
                        help="classification loss: softmax (SSD's default) or focal; a head may "
                             "have only one, or others")
    parser.add_argument("--box-loss", metavar="LOSS",
                        help="loss of boxes: smooth_l1 (the paper's, and the default of a build) "
                             "or giou (the default of a training)")


def overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Return the plan's overrides among the options."""
    return {name: getattr(options, name) for name in ("tap_strides", "sizes", "loss", "box_loss")
            if getattr(options, name) is not None}


#: What is read for images with boxes.
DATA = ("images with boxes: a folder or file of any format that is known (PASCAL VOC, COCO, YOLO, "
        "CSV and others), or a .rec file")


def add_data_format(parser: argparse.ArgumentParser) -> None:
    """Declare what a data set may not tell itself; see `data_format`."""
    names = ", ".join(format.name for format in FORMATS)
    parser.add_argument("--format", metavar="NAME",
                        help=f"the format of the data, where looking does not tell it: {names}, or "
                             f"that of a plug-in")
    parser.add_argument("--columns", metavar="A,B,C",
                        help="what is in the columns of a table, as image,x1,y1,x2,y2,label; - for "
                             "one of no use")


def data_format(options: argparse.Namespace) -> str | None:
    """Return the format that was named, with its columns, as the readers take it."""
    if options.data is None and (options.format or options.columns):
        raise SsdregError("--format and --columns go with --data: give --data too")
    if options.columns is None:
        return None if options.format is None else str(options.format)
    if options.format not in (None, "csv"):
        raise SsdregError(f"--columns are those of a table, --format csv, not {options.format}")
    return f"csv:{options.columns}"


def add_training(parser: argparse.ArgumentParser) -> None:
    """Declare the backbone and the data of a training; see `data_format` and `add_detector`."""
    parser.add_argument("--backbone", help="a name from `ssdreg list`")
    parser.add_argument("--data", type=Path, metavar="DIR|REC", help=DATA)
    parser.add_argument("--split", help="the split to train on; train or trainval by default")
    parser.add_argument("--val-data", type=Path, metavar="DIR|REC",
                        help="data to validate on; --data by default")
    parser.add_argument("--val-split", help="the split to validate on; val or test by default, "
                                            "a tenth of the images where there is none")
    add_data_format(parser)
    add_detector(parser)


#: What `--pretrained` alone stands for.
DECLARED = ""


def add_start(parser: argparse.ArgumentParser) -> None:
    """Declare what a training starts from; see `pretrained`."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--pretrained", nargs="?", const=DECLARED, metavar="NAME|FILE",
                       help="start from weights of the backbone (see `ssdreg weights`), fetched "
                            "if need be, from a .params file, a run, or a detector that comes with "
                            "weights (see `ssdreg list`), as far as it fits; by default from the "
                            "backbone's own where they are on disk. A run or such a detector "
                            "without --backbone goes on as the network it is")
    start.add_argument("--no-pretrained", action="store_true", help="start from nothing")


def pretrained(options: argparse.Namespace) -> str | bool | None:
    """Return what to start from, as `ssdreg.train` takes it."""
    if options.no_pretrained:
        return False
    return True if options.pretrained == DECLARED else options.pretrained


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Declare what a checkpoint may not tell itself; see `ssdreg.load_checkpoint`."""
    parser.add_argument("--epoch", type=int,
                        help="the epoch, where there are several; of a run the best by default")
    parser.add_argument("--classes", metavar="A,B,C|FILE",
                        help="the classes' names in order, or a file with a name a line")
    parser.add_argument("--data-shape", type=shape, metavar="SIDE|HxW",
                        help="the network's input in pixels, where the files do not tell it")
    for name, what in (("mean", "taken off"), ("std", "divided by")):
        parser.add_argument(f"--{name}", type=_three, metavar="R,G,B",
                            help=f"what pixels of 0 to 255 are {what}, where it is not the usual")


def _three(text: str) -> tuple[float, ...]:
    """Read ``123.68,116.78,103.94``."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} are no three numbers, as 123,117,104")
    return values


def classes(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the names of the classes that were given; None leaves them to the checkpoint."""
    from ssdreg.checkpoints.files import read_class_names
    return read_class_names(options.classes) if options.classes else None


def preprocessing(options: argparse.Namespace) -> Preprocessing | None:
    """Return what was given of the normalisation; None leaves it to the kind of checkpoint."""
    if options.mean is None and options.std is None:
        return None
    if options.mean is None:
        raise SsdregError("--std goes with --mean: give --mean too, as 0,0,0")
    try:
        return Preprocessing(options.mean, options.std or (1.0, 1.0, 1.0))
    except ValueError as error:
        raise SsdregError(f"--mean and --std: {error}") from error


def told(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was given of what a checkpoint may not tell itself; None is not given."""
    return {"classes": classes(options), "data_shape": options.data_shape,
            "preprocessing": preprocessing(options)}


def fetch_named(model: Path) -> None:
    """Fetch the weights of a detector that is named, and show how far that is."""
    from ssdreg.deploy.pretrained import named_detector
    declared = named_detector(model)
    if declared is not None:
        from ssdreg.cli.progress import Console
        from ssdreg.weights.fetching import fetch
        fetch(declared, progress=Console())


def open_backend(options: argparse.Namespace, iou: float | None = None) -> Backend:
    """Open the detector that is named, with what is to run it; `iou` is that of `Detector`."""
    from ssdreg.inference.detector import open_backend
    fetch_named(options.model)
    return open_backend(options.model, options.backend, options.threads, options.precision,
                        options.epoch, options.device, iou, **told(options))


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Declare what runs a detector: backend, threads, precision and device."""
    parser.add_argument("--backend", "--engine", default="auto", metavar="NAME",
                        help="what runs the network: openvino, onnxruntime, mxnet, or the engine "
                             "of a plug-in, such as torch; auto takes the first of OpenVINO, ONNX "
                             "Runtime, the plug-ins' and MXNet that is installed and can run it")
    add_computation_arguments(parser)
    parser.add_argument("--device", default="cpu", metavar="NAME",
                        help="what computes: cpu; cuda, cuda:1 or mps by an engine; cuda or "
                             "tensorrt by ONNX Runtime, for exported files or with --backend "
                             "onnxruntime; openvino:GPU or another device of OpenVINO's")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare ``--engine`` of a training."""
    parser.add_argument("--engine", default="auto", metavar="NAME",
                        help="what computes: mxnet, or that of a plug-in, such as torch; by "
                             "default a plug-in's where one is installed, and in a resumed run "
                             "the one of before")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device``."""
    parser.add_argument("--device", default="cpu", metavar="NAME",
                        help="what an engine computes on: cpu, cuda, cuda:0,1 or mps")
