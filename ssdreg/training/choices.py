"""The choices behind a training run: its network, starting parameters, recipe and data."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve, fields, frozen

from ssdreg.anchors.fit import fit_sizes
from ssdreg.anchors.report import FITTED
from ssdreg.data import RECIPES, Augmentation, DataIssues, splits
from ssdreg.data.boxes import boxes
from ssdreg.data.splits import DataSpec
from ssdreg.deploy.pretrained import named_detector, open_pretrained
from ssdreg.detector.build import design
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.overrides import NMS_THRESHOLD, Overrides
from ssdreg.errors import SsdregError
from ssdreg.progress import Progress
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.head import Head
from ssdreg.registry.names import get_backbone, get_head
from ssdreg.runs.run import CONFIG, Run, open_run
from ssdreg.training.freezing import is_normalized
from ssdreg.training.network import Continued, Network, build_network, network_of
from ssdreg.training.options import FINE_TUNING, LEAST_UPDATES, UNNORMALIZED_LR, TrainOptions
from ssdreg.training.start import Start, Taken, choose_start, take
from ssdreg.training.trainer import Data
from ssdreg.weights.loading import siblings_with_weights, weights_of

#: The message where arguments that a new run needs are missing.
NEEDED = ("--backbone and --data are needed to start a run (--pretrained RUN stands for a backbone "
          "too, and --resume goes on with a run)")


@frozen
class DetectorChoice:
    """What a new network is to be; see `ssdreg.plan`. Without sizes they are fitted to the data."""

    data_shape: int | tuple[int, int] = 300
    head: str | Head = "ssd"
    tap_strides: Sequence[int] | None = None
    sizes: str | Sequence[Sequence[float]] | None = None
    loss: str | None = None
    box_loss: str | None = None
    nms_threshold: float | None = None

    @property
    def _best_box_loss(self) -> str | None:
        """GIoU, which places boxes better than the paper's loss, where the head has it."""
        return "giou" if "giou" in get_head(self.head).box_losses else None

    @property
    def overrides(self) -> Overrides:
        """The fields of the plan that are given; sizes to be fitted to the data are not."""
        sizes = None if self.sizes == FITTED else self.sizes
        return Overrides(tap_strides=self.tap_strides, sizes=sizes, loss=self.loss,
                         box_loss=self.box_loss or self._best_box_loss,
                         nms_threshold=(NMS_THRESHOLD if self.nms_threshold is None
                                        else self.nms_threshold))


def continued_detector(pretrained: str | os.PathLike[str] | bool | None,
                       detector: DetectorChoice) -> Run | DetectorWeights | None:
    """Return the run, or the declared detector, whose network is trained on.

    None where `pretrained` is neither. Raises SsdregError where an option of `detector` is given
    too.
    """
    if not pretrained or pretrained is True:
        return None
    folder, declared = Path(pretrained), named_detector(pretrained)
    if declared is None and not (folder / CONFIG).is_file():
        return None
    for option in fields(DetectorChoice):
        if getattr(detector, option.name) != option.default:
            raise SsdregError(f"--{option.name.replace('_', '-')} goes with --backbone: without "
                              f"one, the network of {folder} goes on as it is")
    return declared or open_run(folder)


def open_continued(continued: Run | DetectorWeights | None, progress: Progress
                   ) -> Continued | None:
    """Open what a training goes on with; a detector's weights are fetched if need be."""
    if isinstance(continued, DetectorWeights):
        opened = open_pretrained(continued, progress=progress)
        return Continued(opened.plan, opened.train, opened.deploy, continued.name, opened.params)
    return None if continued is None else Continued.of_run(continued)


def beginning(backbone: str | Backbone, continued: Continued | None,
              pretrained: str | os.PathLike[str] | bool | None, progress: Progress
              ) -> Start | None:
    """Return the parameters that the network starts from; None for random ones."""
    if continued is not None:
        return Start(continued.params, continued.name)
    source = get_backbone(backbone)
    if pretrained is False:
        return None
    named = "" if pretrained is True else None if pretrained is None else os.fspath(pretrained)
    return choose_start(source, named, progress=progress)


def without_weights(backbone: str | Backbone) -> str:
    """Say that a training starts from random parameters, and name weights to start from."""
    source = get_backbone(backbone)
    if weights_of(source):
        return (f"starts from nothing: the weights of {source.name} are not on disk; "
                f"--pretrained fetches them, which is better and sooner done")
    others = siblings_with_weights(source)
    if others:
        return (f"starts from nothing: there are no weights of {source.name}, but of "
                f"{' and '.join(others)}; --backbone {others[0]} --pretrained is better and sooner "
                f"done")
    return (f"starts from nothing: there are no weights of {source.name}; plug-ins bring "
            f"networks that have them, such as ssdreg-efficientnet and ssdreg-resnet")


def network(backbone: str | Backbone, continued: Continued | None, detector: DetectorChoice,
            data: Data) -> Network:
    """Build the network to train; anchors that are to fit the data are fitted here.

    Those of a network that goes on stay as they are.
    """
    count = len(data.train.classes)
    if continued is not None:
        return network_of(continued, count)
    built, overrides = BuiltBackbone.of(backbone), detector.overrides
    if overrides.sizes is None:
        draft = design(built, count, detector.data_shape, detector.head, overrides)
        overrides = evolve(overrides, sizes=fit_sizes(boxes(data.train), draft.plan))
    return build_network(built, count, detector.data_shape, detector.head, overrides)


def taken(start: Start, network: Network, data: Data) -> Taken:
    """Return what of the starting parameters fits the network; raises what `take` does."""
    shapes = {"data": (1, 3, *network.plan.data_shape), "label": (1, data.train.max_objects, 6)}
    return take(start.params, network.train, shapes, start.what)


def recipe(given: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})
           ) -> TrainOptions:
    """Return the recipe with these options; one that is None is not given.

    `defaults` replace those of `TrainOptions`. Raises SsdregError for invalid options.
    """
    options = {**defaults, **{name: value for name, value in given.items() if value is not None}}
    try:
        return TrainOptions(**options)
    except (ValueError, TypeError) as error:
        # attrs' further arguments are attribute and value
        raise SsdregError(f"this recipe cannot be: {error.args[0]}") from error
    except re.error as error:
        raise SsdregError(f"--freeze {given['freeze']!r} is no regular expression: {error}"
                          ) from error


def fitted_recipe(given: Mapping[str, Any], network: Network, images: int, *, tuned: bool
                  ) -> TrainOptions:
    """Return the recipe with these options, the others fitted to the network and its images.

    `tuned` tells whether training starts from weights. Raises what `recipe` does.
    """
    defaults: dict[str, Any] = {}
    if tuned:
        defaults = dict(FINE_TUNING)
        if not is_normalized(network.train, network.plan):
            defaults["lr"] = UNNORMALIZED_LR
    options = recipe(given, defaults)
    if given.get("epochs") is not None:
        return options
    updates = math.ceil(images / options.batch_size)
    return evolve(options, epochs=max(options.epochs, math.ceil(LEAST_UPDATES / updates)))


def augmentation(augment: str | Augmentation | None) -> Augmentation | None:
    """Return the augmentation of this name, or as it is given."""
    if augment is None or isinstance(augment, Augmentation):
        return augment
    if augment not in RECIPES:
        raise SsdregError(f"--augment {augment!r} is no augmentation: choose one of "
                          f"{', '.join(RECIPES)}")
    return RECIPES[augment]


def open_training(source: DataSpec, augmentation: Augmentation | None, progress: Progress) -> Data:
    """Open the data, and tell what is wrong with them."""
    train, validation = splits.open_data(source, progress=progress)
    data = Data(source=source, train=train, validation=validation, augmentation=augmentation)
    if data.issues:
        progress(DataIssues(data.issues))
    return data
