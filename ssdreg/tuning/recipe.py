"""The recipes that are tried: what of a training is searched, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from ssdreg.data import RECIPES
from ssdreg.training.freezing import stages
from ssdreg.training.options import TrainOptions
from ssdreg.tuning.curve import RateCurve
from ssdreg.tuning.prepared import Prepared

if TYPE_CHECKING:
    from optuna import Trial

#: The augmentation of `ssdreg train` where none is named.
AUGMENT = "light"
BATCH_SIZES = (4, 8, 16)
#: How many stages are frozen at most: later ones have to learn what the objects look like.
MOST_FROZEN = 3
#: What the rate behind the backbone is multiplied by, where only that starts at random.
HEAD_LR = (0.5, 8.0)
#: Where the range test tells nothing, rates are tried within this factor of the default.
SPAN = 10.0


@frozen(kw_only=True)
class Recipe:
    """What the search chooses of a training; the fields are arguments of `ssdreg.train`."""

    lr: float
    batch_size: int
    freeze_stages: int
    head_lr: float
    augment: str

    def options(self, default: TrainOptions) -> TrainOptions:
        """Return a training's options by this recipe, the others those of `default`."""
        return attrs.evolve(default, lr=self.lr, batch_size=self.batch_size,
                            freeze_stages=self.freeze_stages, head_lr=self.head_lr)

    def __str__(self) -> str:
        return ", ".join(f"{name} {text}" for name, text in self.texts().items())

    def texts(self) -> dict[str, str]:
        """Return the fields by name, as they are read and typed."""
        return {name: as_text(value) for name, value in attrs.asdict(self).items()}


def as_text(value: object) -> str:
    """Write a number in few digits, and anything else as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)


#: The names of the fields, in their order.
FIELDS = tuple(attrs.fields_dict(Recipe))


def default_recipe(options: TrainOptions) -> Recipe:
    """Return what `ssdreg train` does by default."""
    return Recipe(lr=options.lr, batch_size=options.batch_size,
                  freeze_stages=options.freeze_stages, head_lr=options.head_lr, augment=AUGMENT)


@frozen(kw_only=True)
class Space:
    """The recipes among which is searched.

    `rates` are the lowest and the highest learning rate; `head_rates` those of `head_lr`;
    `most_frozen` bounds `freeze_stages`. Where the last two are None a network that starts from
    nothing learns as a whole.
    """

    rates: tuple[float, float]
    batch_sizes: tuple[int, ...]
    augments: tuple[str, ...] = tuple(RECIPES)
    most_frozen: int | None = None
    head_rates: tuple[float, float] | None = None

    def suggest(self, trial: Trial) -> Recipe:
        """Let Optuna choose a recipe."""
        # rounded: a rate of three digits can be read and typed, and is the one that was trained
        return Recipe(
            lr=_rounded(trial.suggest_float("lr", *self.rates, log=True)),
            batch_size=trial.suggest_categorical("batch_size", self.batch_sizes),
            freeze_stages=(0 if self.most_frozen is None
                           else trial.suggest_int("freeze_stages", 0, self.most_frozen)),
            head_lr=(1.0 if self.head_rates is None
                     else _rounded(trial.suggest_float("head_lr", *self.head_rates, log=True))),
            augment=trial.suggest_categorical("augment", self.augments))

    def params(self, recipe: Recipe) -> Mapping[str, Any]:
        """Return a recipe as Optuna has it: what of it is searched, by name."""
        fixed = {name for name, bounds in (("freeze_stages", self.most_frozen),
                                           ("head_lr", self.head_rates)) if bounds is None}
        return {name: value for name, value in attrs.asdict(recipe).items() if name not in fixed}


def space(prepared: Prepared, curve: RateCurve) -> Space:
    """Return what to search: rates as the range test bounds them, stages as the network has them.

    The default recipe is always among it, because the others are compared with it.
    """
    default, devices = prepared.default, len(prepared.choice.devices)
    low, high = ((curve.lowest, curve.highest) if curve.falls
                 else (default.lr / SPAN, default.lr * SPAN))
    sizes = {size for size in BATCH_SIZES
             if size <= prepared.data.train.images and not size % devices}
    tuned = prepared.taken is not None
    most = min(MOST_FROZEN, stages(prepared.network.train, prepared.network.plan))
    return Space(rates=(_rounded(min(low, default.lr)), _rounded(max(high, default.lr))),
                 batch_sizes=tuple(sorted({*sizes, default.batch_size})),
                 most_frozen=max(most, default.freeze_stages) if tuned else None,
                 head_rates=HEAD_LR if tuned else None)


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
