"""``ssdreg quantize``: a detector in 8 bits, or in bfloat16, and what that costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments
from ssdreg.errors import DataError, ModelError

if TYPE_CHECKING:
    from ssdreg.data import Packed
    from ssdreg.quantize.engines import Engine
    from ssdreg.quantize.images import Example
    from ssdreg.quantize.quantizing import Quantized
    from ssdreg.quantize.report import QuantizationReport

NAME = "quantize"
SUMMARY = "make a detector of 8 bits for a backend, and measure what it loses and gains"

BACKENDS = ("onnxruntime", "openvino", "mxnet")
PRECISIONS = ("int8", "bfloat16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="RUN|CHECKPOINT",
                        help="a run, or a checkpoint that `ssdreg export` reads")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR|REC",
                        help=f"{arguments.DATA}; scales are taken from them, and they are measured "
                             f"on")
    parser.add_argument("--split", help="the split of --data to measure on; by default what "
                                        "`ssdreg train` would validate on, all is every image")
    parser.add_argument("--calibration-split", metavar="SPLIT",
                        help="the split of --data to take scales from; what the run was trained "
                             "on is best")
    parser.add_argument("--calibration-images", type=int, default=100, metavar="N",
                        help="how many images to take scales from")
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0],
                        help="what is to run the detector")
    parser.add_argument("--precision", choices=PRECISIONS, default="int8",
                        help="what the network is to be computed in")
    parser.add_argument("--drop", type=float, default=0.01, metavar="MAP",
                        help="how much mAP 8 bits may cost on the calibration images before "
                             "layers are kept in float32")
    parser.add_argument("--keep-layers", nargs="+", default=(), metavar="LAYER",
                        help="convolutions to keep in float32 in any case, by name")
    parser.add_argument("--out", type=Path, metavar="FILE|DIR",
                        help="an .onnx file, an .xml file (OpenVINO) or a run's folder (MXNet); "
                             "by default model-int8 in the run's folder, and for MXNet a folder "
                             "beside it")
    parser.add_argument("--no-eval", action="store_true",
                        help="measure neither accuracy nor time: quantise all but --keep-layers")
    parser.add_argument("--rounds", type=int, default=50, metavar="N",
                        help="runs that the time is measured in")
    arguments.add_data_format(parser)
    arguments.add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Quantise, write, measure and report; the status is 1 when more than --drop was lost."""
    from ssdreg_runtime.system.progress import waiting

    from ssdreg.checkpoints.files import read_class_names
    from ssdreg.deploy.model import open_deploy_model
    from ssdreg.quantize import quantize, read_examples
    from ssdreg.quantize.engines import engine
    from ssdreg.quantize.mxnet.int8 import refuse_unless_float32
    _refuse_numbers(options)
    precision = options.precision
    chosen = engine(options.backend, precision)
    out = options.out or default_out(options.path, chosen.suffix, options.precision)
    _refuse_out(out, chosen)
    classes = read_class_names(options.classes) if options.classes else None
    source = open_deploy_model(options.path, options.epoch, classes, options.data_shape,
                               arguments.preprocessing(options))
    refuse_unless_float32(source)
    scales, measured = _open_data(options, source.classes)
    examples = [] if precision == "bfloat16" else list(
        read_examples(scales, source.plan.data_shape, options.calibration_images))
    with waiting("quantising") as telling:
        def say(line: str) -> None:
            _say(line)
            if telling is not None:
                telling.begin(line)

        made = quantize(source, examples, options.backend, precision,
                        None if options.no_eval else options.drop, options.keep_layers, say)
        made.save(out)
        report = _report(options, out, made, examples, measured, say)
    print(to_json(report.to_dict(), indent=2) if options.json
          else report.text())
    if report.missed():
        how = ("give more --calibration-images, more --keep-layers, or a smaller --drop"
               if precision == "int8" else "another backend, or int8, may lose less")
        print(f"ssdreg: warning: more than --drop {options.drop:g} of mAP was lost: {how}",
              file=sys.stderr)
        return 1
    return 0


def default_out(path: Path, suffix: str, precision: str) -> Path:
    """Name what is written: in the folder of a run, or beside it where it is a folder itself."""
    from ssdreg.cli.commands.export import default_file
    if path.is_dir() and not suffix:
        return path.with_name(f"{path.resolve().name}-{precision}")
    file = default_file(path)
    return file.with_name(f"{file.stem}-{precision}{suffix}")


def _refuse_numbers(options: argparse.Namespace) -> None:
    for name, least in (("calibration-images", 1), ("rounds", 1)):
        value = getattr(options, name.replace("-", "_"))
        if value < least:
            raise DataError(f"--{name} {value} is too few: give {least} or more")
    if not 0 <= options.drop <= 1:
        raise DataError(f"--drop {options.drop:g} is no loss of mAP: give one of 0 to 1, as 0.01")


def _refuse_out(out: Path, chosen: Engine) -> None:
    """Raise ModelError for a name that cannot be written, before minutes have gone into it."""
    from ssdreg_runtime.backends.model_file import describe

    from ssdreg.quantize.mxnet.run import refuse_folder
    if not chosen.suffix:
        refuse_folder(out)
    elif out.suffix.lower() != chosen.suffix:
        raise ModelError(f"--out {out}: what this backend reads ends in {chosen.suffix}")
    elif out.exists():
        try:
            describe(out, str(out))
        except ModelError as error:
            raise ModelError(f"--out {out} is there already and no detector of ssdreg: move it "
                             f"away, or choose another name") from error


def _open_data(options: argparse.Namespace,
               classes: tuple[str, ...]) -> tuple[Packed, Packed]:
    """Open what scales are taken from and what is measured on; say it when they are the same."""
    from ssdreg.data import describe_issues, splits
    named = arguments.data_format(options)
    taken, measured = choose_splits(options.data, options.calibration_split, options.split, named)
    if measured == splits.HELD_OUT:
        found = splits.open_data(splits.choose(options.data, taken, format=named), classes)
        opened = [packed for packed in found if packed is not None]
    else:
        opened = [splits.open_split(options.data, split, classes, named)
                  for split in dict.fromkeys((taken, measured))]
    if not options.no_eval:
        _say(f"measuring on {splits.describe(options.data, measured)}")
    for packed in opened:
        if packed.issues:
            print(describe_issues(packed.issues), file=sys.stderr)
    if len(opened) == 1 and not options.no_eval:
        _say(f"{options.data}: scales are taken from the images that are measured on; "
             f"--calibration-split names others")
    return opened[0], opened[-1]


def choose_splits(data: Path, taken: str | None, measured: str | None,
                  format: str | None = None) -> tuple[str | None, str | None]:
    """Fill in the splits that were not named: (to take scales from, to measure on).

    Where a folder has a usual pair of splits that agrees with what was named, it is that; where
    none was named, a tenth is held out, as in training. A ``.rec`` file is one split.
    """
    from ssdreg.data import available_splits
    from ssdreg.data.splits import HELD_OUT, usual_pair
    if data.suffix == ".rec":
        for option, split in (("--split", measured), ("--calibration-split", taken)):
            if split is not None:
                raise DataError(f"{data} is one split already: leave {option} {split} out")
        return None, None
    pair = usual_pair(available_splits(data, format), taken, measured)
    if pair is not None:
        return pair
    if measured is None and taken is None:
        return None, HELD_OUT
    return taken or measured, measured or taken


def _report(options: argparse.Namespace, out: Path, made: Quantized, examples: list[Example],
            measured: Packed, say: Callable[[str], None]) -> QuantizationReport:
    from ssdreg.quantize.engines import engine
    from ssdreg.quantize.images import read_examples
    from ssdreg.quantize.report import QuantizationReport, Side
    from ssdreg.quantize.searching import evaluate
    from ssdreg.quantize.speed import measure_latency
    chosen = engine(made.backend, made.precision)
    exact = chosen.exact(made.source)
    before, after = Side("float32", chosen.weigh(exact)), Side(made.precision, made.size())
    if not options.no_eval:
        backends = [chosen.open(exact), made.open()]
        shape = made.source.plan.data_shape
        say("measuring accuracy and time")
        evaluations = evaluate(backends, read_examples(measured, shape), made.source.classes)
        image = next(iter(read_examples(measured, shape, 1))).image
        times = measure_latency({"before": backends[0], "after": backends[1]}, image,
                                options.rounds)
        before = Side(before.precision, before.size, evaluations[0], times["before"])
        after = Side(after.precision, after.size, evaluations[1], times["after"])
    return QuantizationReport(str(out), made, len(examples), options.drop, before, after)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
