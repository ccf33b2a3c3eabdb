"""``ssdreg train``: from a folder of images to a detector."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command
from ssdreg.errors import SsdregError
from ssdreg.training.options import (
    COMPILE,
    FINE_TUNING,
    OPTIMIZERS,
    PRECISIONS,
    WIRES,
    TrainOptions,
)

if TYPE_CHECKING:
    from ssdreg.runs.run import Run
    from ssdreg.training.train import TrainingResult

NAME = "train"
SUMMARY = "train a detector on images with boxes"

AUGMENT = "light"

#: Seconds in which what started them ends the other processes when the first has failed.
ENDED_WITHIN = 5.0

_DEFAULTS = {field.name: field.default for field in fields(TrainOptions)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    arguments.add_training(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN",
                        help="the folder to write; with --resume, the one to go on with")
    for name, kind, text in (
            ("epochs", int, "passes over the data"),
            ("batch-size", int, "images a step, all devices together"),
            ("lr", float, "learning rate"),
            ("lr-factor", float, "what each of --lr-steps multiplies the rate by"),
            ("momentum", float, "of sgd and nag"),
            ("wd", float, "weight decay"),
            ("warmup", int, "steps over which the rate rises"),
            ("average", float, "epochs over which the parameters are averaged for validation and "
                               "use; 0 takes the last ones"),
            ("seed", int, "of starting values, order and augmentation"),
            ("validate-every", int, "epochs between validations"),
            ("patience", int, "validations without a better AP after which training ends early; 0 "
                              "never"),
            ("keep-epochs", int, "newest parameter files to keep, besides the best")):
        parser.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS,
                            help=f"{text} (default: {_default(name.replace('-', '_'))})")
    parser.add_argument("--lr-steps", type=arguments.numbers, default=argparse.SUPPRESS,
                        metavar="EPOCHS",
                        help="lower the rate after these epochs: 80,100; a cosine when not given")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=argparse.SUPPRESS,
                        help=f"how parameters are updated (default: {_DEFAULTS['optimizer']})")
    parser.add_argument("--precision", choices=PRECISIONS, default=argparse.SUPPRESS,
                        help="what the network is computed in; auto is the fastest that the engine "
                             "has on its device")
    parser.add_argument("--compile", choices=COMPILE, default=argparse.SUPPRESS,
                        help="whether the network is compiled by an engine that can; auto does "
                             "where that saves more time than it takes (default: auto)")
    parser.add_argument("--recompute", action="store_true", default=argparse.SUPPRESS,
                        help="compute normalisations and their ReLUs again in the backward pass "
                             "instead of keeping them: less memory, more time (MXNet, with "
                             "AVX-512)")
    parser.add_argument("--freeze", metavar="REGEX", default=argparse.SUPPRESS,
                        help="leave parameters alone whose names start like this")
    parser.add_argument("--freeze-stages", type=int, metavar="N", default=argparse.SUPPRESS,
                        help="leave the first N stages of the backbone alone")
    parser.add_argument("--freeze-norm", action="store_true", default=argparse.SUPPRESS,
                        help="leave the backbone's batch normalisation alone")
    parser.add_argument("--sync-norm", action="store_true", default=argparse.SUPPRESS,
                        help="normalize by the moments of the whole batch, over all processes "
                             "that train together (PyTorch)")
    parser.add_argument("--wire", choices=WIRES, default=argparse.SUPPRESS,
                        help="what processes that train together send gradients in; MXNet has "
                             "float16 and 2bit, PyTorch bfloat16, and both have float32 "
                             f"(default: {_DEFAULTS['wire']})")
    parser.add_argument("--head-lr", type=float, metavar="FACTOR", default=argparse.SUPPRESS,
                        help="multiply the learning rate by this behind the backbone "
                             f"(default: {_DEFAULTS['head_lr']:g})")
    parser.add_argument("--skip-negatives", action="store_true", default=argparse.SUPPRESS,
                        help="leave out images without objects, which else teach what background "
                             "is")
    arguments.add_start(parser)
    parser.add_argument("--augment", default=AUGMENT, choices=("light", "ssd", "none"),
                        help="mild augmentation, the paper's for long trainings, or none")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--tensorboard", action="store_true",
                        help="write the curves for TensorBoard too, into the run's folder")
    arguments.add_engine(parser)
    arguments.add_device(parser)


def _default(name: str) -> str:
    """Return an option's default in words."""
    usual, tuned = _DEFAULTS[name], FINE_TUNING.get(name)
    return f"{usual:g}" if tuned is None else f"{usual:g}, from weights {tuned:g}"


def run(options: argparse.Namespace) -> int:
    """Start a run, or resume one."""
    from ssdreg.engines.processes import started_together
    from ssdreg.errors import Interrupted, SsdregWarning
    from ssdreg.training.watching import CURVES
    is_telling = started_together().is_first
    if not is_telling:  # all would warn of the same
        warnings.simplefilter("ignore", SsdregWarning)
    try:
        result = _resume(options) if options.resume else _start(options)
    except Interrupted:
        if is_telling:
            print(f"stopped and saved; go on with: "
                  f"{command('ssdreg', 'train', '--resume', '--out', options.out)}",
                  file=sys.stderr)
        return 130
    except SsdregError:
        if not is_telling:
            # all come to the same error, and the first says so: what this one says is of use
            # where the others go on
            time.sleep(ENDED_WITHIN)
        raise
    if not is_telling:
        return 0
    run = result.run
    print(f"done: {result.params_file} is the best; "
          f"look at it with: {command('ssdreg', 'predict', run.path, 'IMAGE')}")
    print(f"drawn: {run.path / CURVES}, losses and mAP over the epochs")
    return 0


def _start(options: argparse.Namespace) -> TrainingResult:
    from ssdreg.cli.progress import Console
    from ssdreg.training.choices import NEEDED
    from ssdreg.training.train import train
    if options.data is None:
        raise SsdregError(NEEDED)
    return train(
        data=options.data, out=options.out, backbone=options.backbone, split=options.split,
        val_data=options.val_data, val_split=options.val_split, data_shape=options.data_shape,
        head=options.head, tap_strides=options.tap_strides, sizes=options.sizes, loss=options.loss,
        box_loss=options.box_loss,
        pretrained=arguments.pretrained(options), augment=options.augment, engine=options.engine,
        device=options.device, data_format=arguments.data_format(options),
        tensorboard=options.tensorboard, progress=Console(), **_given(options))


def _resume(options: argparse.Namespace) -> TrainingResult:
    from ssdreg.cli.progress import Console
    from ssdreg.runs.run import open_run
    from ssdreg.training.train import resume
    run = open_run(options.out)
    _refuse_another_detector(options)
    _refuse_another_recipe(options, run)
    return resume(options.out, epochs=_given(options).get("epochs"), data=options.data,
                  split=options.split, val_data=options.val_data, val_split=options.val_split,
                  data_format=arguments.data_format(options), engine=options.engine,
                  device=options.device, tensorboard=options.tensorboard, progress=Console())


def _refuse_another_detector(options: argparse.Namespace) -> None:
    """Refuse what only a new run can be told."""
    defaults = {"backbone": None, "pretrained": None, "no_pretrained": False, "augment": AUGMENT}
    for name, default in {**defaults, **arguments.DETECTOR}.items():
        if getattr(options, name) != default:
            raise SsdregError(f"--{name.replace('_', '-')} is for a new run: a resumed one keeps "
                              f"its network and augmentation, leave it out")


def _refuse_another_recipe(options: argparse.Namespace, run: Run) -> None:
    """Refuse any change but that of the number of epochs."""
    from ssdreg.training import state
    from ssdreg.training.choices import recipe
    given = _given(options)
    if not given.keys() - {"epochs"}:
        return
    wanted, had = recipe(given), state.load_options(run)
    for name in given:
        value, before = getattr(wanted, name), getattr(had, name)
        if name != "epochs" and value != before:
            raise SsdregError(f"--{name.replace('_', '-')} {value} differs from the run's "
                              f"{before}: a resumed run keeps its recipe, only --epochs may change")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parts of the recipe that were given, and not left at their defaults."""
    return {name: getattr(options, name) for name in _DEFAULTS if hasattr(options, name)}
