"""The options of a training run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Optional

from attrs import field, frozen, validators

from ssdreg.registry.converters import as_tuple

_positive: Callable[[Any, Any, Any], Any] = validators.gt(0)
_not_negative: Callable[[Any, Any, Any], Any] = validators.ge(0)

#: Optimizers whose whole state lies in arrays, so that a resumed run is exactly the same run.
OPTIMIZERS = ("sgd", "nag", "adam", "lamb")

#: What a network may be computed in; "auto" leaves it to the engine. Parameters stay float32.
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

#: What gradients are sent in between processes that train together; engines have some of them.
WIRES = ("float32", "bfloat16", "float16", "2bit")

#: Whether the code of a training's steps is compiled: where that pays, in any case, never.
COMPILE = ("auto", "on", "off")


def _is_pattern(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        re.compile(value)


@frozen(kw_only=True)
class TrainOptions:
    """The recipe of a training run. The defaults learn from nothing; `FINE_TUNING` has others.

    - `epochs`, `batch_size`: the batch is that of all devices and processes together.
    - `optimizer`, `lr`, `momentum`, `wd`: `wd` is weight decay.
    - `lr_steps`: epochs after which the rate is multiplied by `lr_factor`; without any, it falls
      to zero along a cosine.
    - `warmup`: steps over which the rate rises from nothing.
    - `freeze`: a regular expression; parameters whose names it matches from the start stay as
      they are.
    - `freeze_stages`: so many stages of the backbone stay as they are, the finest first.
    - `freeze_norm`: the backbone's batch normalisation stays as it is: its scales and offsets,
      and its running moments, which it then uses in training too.
    - `sync_norm`: batch normalisation takes the moments of the whole batch, over all processes;
      else of the part that each of them has.
    - `wire`: what gradients are sent in between processes; "2bit" sends one of three values for
      each, and keeps for the next step what it did not send.
    - `head_lr`: what the rate is multiplied by for everything behind the backbone.
    - `skip_negatives`: images without objects are left out; else they teach what background is.
    - `precision`: what the network is computed in while it is trained; "auto" is the fastest that
      the engine has on its device. Parameters, losses and checkpoints stay float32.
    - `compile`: whether the engine compiles the network; "auto" does where that pays within the
      run, as far as the engine can.
    - `average`: epochs over which the parameters are averaged (exponentially); the average is what
      validates, is saved and detects. 0 takes the parameters as they are.
    - `recompute`: normalisations that are computed together with their ReLUs, as MXNet does on
      processors with AVX-512, are computed again in the backward pass, and not kept for it: less
      memory, more time.
    - `seed`: of starting values, order and augmentation.
    - `patience`: training ends when so many validations one after the other were no better than
      the best before them, by COCO's AP; 0 never ends it early.
    - `validate_every`: epochs between validations; `keep_epochs`: parameter files kept besides
      the best.
    """

    epochs: int = field(default=60, validator=_positive)
    batch_size: int = field(default=16, validator=_positive)
    optimizer: str = field(default="adam", validator=validators.in_(OPTIMIZERS))
    lr: float = field(default=1e-3, validator=_positive)
    momentum: float = field(default=0.9, validator=_not_negative)
    wd: float = field(default=1e-5, validator=_not_negative)
    lr_steps: tuple[int, ...] = field(default=(), converter=as_tuple)
    lr_factor: float = field(default=0.1, validator=_positive)
    warmup: int = field(default=50, validator=_not_negative)
    # Optional, because Python 3.9 cannot evaluate the other spelling, and cattrs does
    freeze: Optional[str] = field(default=None, validator=_is_pattern)  # noqa: UP045
    freeze_stages: int = field(default=0, validator=_not_negative)
    freeze_norm: bool = field(default=False, validator=validators.instance_of(bool))
    sync_norm: bool = field(default=False, validator=validators.instance_of(bool))
    wire: str = field(default="float32", validator=validators.in_(WIRES))
    head_lr: float = field(default=1.0, validator=_positive)
    skip_negatives: bool = field(default=False, validator=validators.instance_of(bool))
    precision: str = field(default="auto", validator=validators.in_(PRECISIONS))
    compile: str = field(default="auto", validator=validators.in_(COMPILE))
    average: float = field(default=1.0, validator=_not_negative)
    recompute: bool = field(default=False, validator=validators.instance_of(bool))
    seed: int = field(default=0, validator=_not_negative)
    validate_every: int = field(default=1, validator=_positive)
    patience: int = field(default=0, validator=_not_negative)
    keep_epochs: int = field(default=10, validator=_positive)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of the `step`-th step of training, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.lr_steps:
            passed = sum(step >= epoch * steps_per_epoch for epoch in self.lr_steps)
            return self.lr * rise * self.lr_factor**passed
        progress = step / (self.epochs * steps_per_epoch)
        return self.lr * rise * 0.5 * (1.0 + math.cos(math.pi * progress))


#: Other defaults where training starts from weights: the network knows most already, and edges and
#: textures, which the first stages see, are the same in all photos. Twice as many updates, and
#: longer ones, make up for fewer epochs.
FINE_TUNING: Mapping[str, Any] = MappingProxyType(
    {"epochs": 20, "batch_size": 8, "lr": 4e-3, "freeze_stages": 2})
#: The rate of fine-tuning without batch normalisation, whose activations nothing keeps in bounds.
UNNORMALIZED_LR = 1e-3
#: Where the number of epochs is not given it is raised until there are so many updates: a data set
#: of a few dozen images needs as many as one of hundreds.
LEAST_UPDATES = 700
