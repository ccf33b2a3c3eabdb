"""``ssdreg quantize``: a detector in 8 bits, or in bfloat16, and what that costs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ssdreg_runtime.system.console import to_json

from ssdreg.cli.commands import arguments

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
    from ssdreg.cli.progress import Console
    from ssdreg.quantization.quantize import quantize
    report = quantize(
        options.path, data=options.data, split=options.split,
        calibration_split=options.calibration_split, calibration_images=options.calibration_images,
        backend=options.backend, precision=options.precision, drop=options.drop,
        keep_layers=options.keep_layers, out=options.out, measure=not options.no_eval,
        rounds=options.rounds, epoch=options.epoch, data_format=arguments.data_format(options),
        progress=Console(sys.stderr), **arguments.told(options))
    print(to_json(report.to_dict(), indent=2) if options.json
          else report.text())
    if report.missed():
        how = ("give more --calibration-images, more --keep-layers, or a smaller --drop"
               if options.precision == "int8" else "another backend, or int8, may lose less")
        print(f"ssdreg: warning: more than --drop {options.drop:g} of mAP was lost: {how}",
              file=sys.stderr)
        return 1
    return 0
