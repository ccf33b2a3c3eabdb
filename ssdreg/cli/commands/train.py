"""``ssdreg train``: from a folder of images to a detector."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command
from ssdreg.errors import SsdregError
from ssdreg.training.options import FINE_TUNING, OPTIMIZERS, TrainOptions

if TYPE_CHECKING:
    from ssdreg.data import Augmentation
    from ssdreg.data.splits import DataSpec
    from ssdreg.runs.run import Run
    from ssdreg.training.network import Network
    from ssdreg.training.start import Start
    from ssdreg.training.trainer import Data

NAME = "train"
SUMMARY = "train a detector on images with boxes"

AUGMENT = "light"
#: The picture of losses and mAP over the epochs, in the run's folder.
CURVES = "curves.png"
#: What decides the network, with defaults; they cannot be told from nothing given.
DETECTOR = {"tap_strides": None, "sizes": None, "loss": None, "head": arguments.HEAD,
            "data_shape": arguments.DATA_SHAPE}
#: What `--pretrained` alone stands for.
DECLARED = ""

_DEFAULTS = {field.name: field.default for field in fields(TrainOptions)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--backbone", help="a name from `ssdreg list`")
    parser.add_argument("--data", type=Path, metavar="DIR|REC",
                        help="a folder in PASCAL VOC layout, or a .rec file")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN",
                        help="the folder to write; with --resume, the one to go on with")
    parser.add_argument("--split", help="the split to train on; train or trainval by default")
    parser.add_argument("--val-data", type=Path, metavar="DIR|REC",
                        help="data to validate on; --data by default")
    parser.add_argument("--val-split", help="the split to validate on; val or test by default, "
                                            "a tenth of the images where there is none")
    arguments.add_detector(parser)
    for name, kind, text in (
            ("epochs", int, "passes over the data"),
            ("batch-size", int, "images a step, all devices together"),
            ("lr", float, "learning rate"),
            ("lr-factor", float, "what each of --lr-steps multiplies the rate by"),
            ("momentum", float, "of sgd and nag"),
            ("wd", float, "weight decay"),
            ("warmup", int, "steps over which the rate rises"),
            ("seed", int, "of starting values, order and augmentation"),
            ("validate-every", int, "epochs between validations"),
            ("keep-epochs", int, "newest parameter files to keep, besides the best")):
        parser.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS,
                            help=f"{text} (default: {_DEFAULTS[name.replace('-', '_')]})")
    parser.add_argument("--lr-steps", type=arguments.numbers, default=argparse.SUPPRESS,
                        metavar="EPOCHS",
                        help="lower the rate after these epochs: 80,100; a cosine when not given")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=argparse.SUPPRESS,
                        help=f"how parameters are updated (default: {_DEFAULTS['optimizer']})")
    parser.add_argument("--freeze", metavar="REGEX", default=argparse.SUPPRESS,
                        help="leave parameters alone whose names start like this")
    parser.add_argument("--freeze-stages", type=int, metavar="N", default=argparse.SUPPRESS,
                        help="leave the first N stages of the backbone alone")
    parser.add_argument("--freeze-norm", action="store_true", default=argparse.SUPPRESS,
                        help="leave the backbone's batch normalisation alone")
    parser.add_argument("--head-lr", type=float, metavar="FACTOR", default=argparse.SUPPRESS,
                        help="multiply the learning rate by this behind the backbone "
                             f"(default: {_DEFAULTS['head_lr']:g})")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--pretrained", nargs="?", const=DECLARED, metavar="NAME|FILE",
                       help="start from weights of the backbone (see `ssdreg weights`), fetched "
                            "if need be, or from a .params file or a run, as far as it fits; by "
                            "default from the backbone's own where they are on disk. A run "
                            "without --backbone goes on as the network it is")
    start.add_argument("--no-pretrained", action="store_true", help="start from nothing")
    parser.add_argument("--augment", default=AUGMENT, choices=("light", "ssd", "none"),
                        help="mild augmentation, the paper's for long trainings, or none")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    arguments.add_context(parser)


def run(options: argparse.Namespace) -> int:
    """Start a run, or resume one."""
    from ssdreg.drawing.curves import draw_curves
    from ssdreg.training.stopping import Interrupted
    try:
        found = _resume(options) if options.resume else _start(options)
    except Interrupted:
        print(f"stopped and saved; go on with: "
              f"{command('ssdreg', 'train', '--resume', '--out', options.out)}", file=sys.stderr)
        return 130
    best = found.best_epoch()
    curves = found.path / CURVES
    draw_curves(found.log_file, curves, found.path.name)
    print(f"done: {found.params_file(best)} is the best; "
          f"look at it with: {command('ssdreg', 'predict', found.path, 'IMAGE')}")
    print(f"drawn: {curves}, losses and mAP over the epochs")
    return 0


def _start(options: argparse.Namespace) -> Run:
    from ssdreg.data import RECIPES, splits
    from ssdreg.runs.run import create_run, refuse_run
    from ssdreg.training.freezing import fixed
    from ssdreg.training.start import take
    from ssdreg.training.trainer import check_devices, train
    continued = _continued(options)
    if options.data is None or (options.backbone is None and continued is None):
        raise SsdregError("--backbone and --data are needed to start a run (--pretrained RUN "
                          "stands for a backbone too, and --resume goes on with a run)")
    # whatever can be refused is refused before data are packed and a folder is made
    refuse_run(options.out)
    recipe = _recipe(options)
    contexts = arguments.contexts(options.ctx)
    check_devices(recipe, contexts)
    start = _start_from(options, continued)
    if start is not None:
        recipe = _recipe(options, FINE_TUNING)
    source = splits.choose(options.data, options.split, options.val_data, options.val_split)
    data = _open(source, RECIPES[options.augment])
    classes = data.train.classes
    network = _network(options, continued, data)
    plan = network.plan
    fixed(network.train, plan, recipe)
    taken = None
    if start is not None:
        inputs = {"data": (1, 3, *plan.data_shape), "label": (1, data.train.max_objects, 6)}
        taken = take(start.params, network.train, inputs, start.what)
        print(f"starts from {start.what}: {taken.describe()}")
    elif not options.no_pretrained:
        print(_without_weights(options.backbone))
    run = create_run(options.out, classes, plan, network.train, network.deploy)
    print(f"{plan.backbone}, {plan.head} at {plan.data_shape[0]}x{plan.data_shape[1]}: "
          f"{data.train.images} images with {data.train.objects} objects of {len(classes)} "
          f"classes ({', '.join(classes)})")
    if source.validation is not None:
        print(f"validates on {splits.describe_validation(source)}")
    return train(run, data, recipe, contexts, taken)


def _continued(options: argparse.Namespace) -> Run | None:
    """Return the run whose network goes on with other data: `--pretrained RUN`, no `--backbone`."""
    from ssdreg.runs.run import CONFIG, open_run
    if options.backbone is not None or not options.pretrained:
        return None
    folder = Path(options.pretrained)
    if not (folder / CONFIG).is_file():
        return None
    for name, default in DETECTOR.items():
        if getattr(options, name) != default:
            raise SsdregError(f"--{name.replace('_', '-')} goes with --backbone: without one, the "
                              f"network of {folder} goes on as it is")
    return open_run(folder)


def _start_from(options: argparse.Namespace, continued: Run | None) -> Start | None:
    from ssdreg.registry.host import get_backbone
    from ssdreg.training.start import Start, choose_start
    if continued is not None:
        return Start(continued.load_params(), str(continued.path))
    backbone = get_backbone(options.backbone)
    return None if options.no_pretrained else choose_start(backbone, options.pretrained)


def _without_weights(name: str) -> str:
    """Say that a training starts from nothing, and what would be better where there is such."""
    from ssdreg.registry.host import get_backbone
    from ssdreg.weights.loading import siblings_with_weights, weights_of
    backbone = get_backbone(name)
    if weights_of(backbone):
        return (f"starts from nothing: the weights of {backbone.name} are not on disk; "
                f"--pretrained fetches them, which is better and sooner done")
    others = siblings_with_weights(backbone)
    if others:
        return (f"starts from nothing: there are no weights of {backbone.name}, but of "
                f"{' and '.join(others)}; --backbone {others[0]} --pretrained is better and sooner "
                f"done")
    return (f"starts from nothing: there are no weights of {backbone.name}; plug-ins bring "
            f"networks that have them, such as ssdreg-efficientnet and ssdreg-resnet")


def _network(options: argparse.Namespace, continued: Run | None, data: Data) -> Network:
    """Build the network to train; anchors that are to fit the data are fitted here."""
    from ssdreg import plan
    from ssdreg.anchors.fit import fit_sizes
    from ssdreg.anchors.report import FITTED
    from ssdreg.data.boxes import boxes
    from ssdreg.detector.overrides import Overrides
    from ssdreg.registry.host import get_backbone
    from ssdreg.training.network import build_network, network_of
    count = len(data.train.classes)
    if continued is not None:
        return network_of(continued, count)
    shared = (get_backbone(options.backbone), count, options.data_shape, options.head)
    settings = arguments.overrides(options)
    if settings.get("sizes", FITTED) == FITTED:
        settings.pop("sizes", None)
        settings["sizes"] = fit_sizes(boxes(data.train), plan(*shared, **settings))
    return build_network(*shared, Overrides(**settings))


def _resume(options: argparse.Namespace) -> Run:
    from ssdreg.data import splits
    from ssdreg.runs.run import open_run
    from ssdreg.training import state
    from ssdreg.training.trainer import resume
    run = open_run(options.out)
    _refuse_other_detector(options)
    if options.data is None and (options.split or options.val_data or options.val_split):
        raise SsdregError("--split, --val-data and --val-split go with --data: give --data too, "
                          "or leave them out and the run's own data are used")
    saved = state.load(run)
    source = saved.data if options.data is None else splits.choose(
        options.data, options.split, options.val_data, options.val_split)
    saved = evolve(saved, data=source, options=_same_recipe(options, saved.options))
    if saved.state.epoch >= saved.options.epochs:
        print(f"{run.path} has had its {saved.options.epochs} epochs; "
              f"give a larger --epochs to go on")
        return run
    print(f"going on in epoch {saved.state.epoch + 1} of {saved.options.epochs}, "
          f"after step {saved.state.step}")
    return resume(run, saved, _open(source, saved.augmentation), arguments.contexts(options.ctx))


def _refuse_other_detector(options: argparse.Namespace) -> None:
    """Refuse what only a new run can be told."""
    defaults = {"backbone": None, "pretrained": None, "no_pretrained": False, "augment": AUGMENT}
    for name, default in {**defaults, **DETECTOR}.items():
        if getattr(options, name) != default:
            raise SsdregError(f"--{name.replace('_', '-')} is for a new run: a resumed one keeps "
                              f"its network and augmentation, leave it out")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parts of the recipe that were given, and not left at their defaults."""
    return {name: getattr(options, name) for name in _DEFAULTS if hasattr(options, name)}


def _recipe(options: argparse.Namespace, defaults: Mapping[str, Any] = MappingProxyType({})
            ) -> TrainOptions:
    try:
        return TrainOptions(**{**defaults, **_given(options)})
    except (ValueError, TypeError) as error:
        # attrs puts attribute and value behind its sentence
        raise SsdregError(f"this recipe cannot be: {error.args[0]}") from error
    except re.error as error:
        raise SsdregError(f"--freeze {options.freeze!r} is no regular expression: {error}"
                          ) from error


def _same_recipe(options: argparse.Namespace, recipe: TrainOptions) -> TrainOptions:
    """Take the run's own recipe, with more epochs if asked; refuse any other change."""
    asked = _recipe(options)
    for name in _given(options):
        given, had = getattr(asked, name), getattr(recipe, name)
        if name != "epochs" and given != had:
            raise SsdregError(f"--{name.replace('_', '-')} {given} differs from the run's "
                              f"{had}: a resumed run keeps its recipe, only --epochs may change")
    return evolve(recipe, epochs=asked.epochs) if hasattr(options, "epochs") else recipe


def _open(source: DataSpec, augmentation: Augmentation | None) -> Data:
    """Open the data and report what is wrong with it."""
    from ssdreg.data import describe_issues, splits
    from ssdreg.training.trainer import Data
    train, validation = splits.open_data(source)
    issues = dict.fromkeys([*train.issues, *(validation.issues if validation else ())])
    if issues:
        print(describe_issues(list(issues)), file=sys.stderr)
    return Data(source=source, train=train, validation=validation, augmentation=augmentation)
