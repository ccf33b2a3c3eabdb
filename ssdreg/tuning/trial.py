"""A trial: a short training by one recipe, whose epochs are told and which may be cut short."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
from attrs import frozen

from ssdreg.errors import DivergedError
from ssdreg.progress import Progress, Work
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import create_run
from ssdreg.training.choices import augmentation
from ssdreg.training.trainer import train_run
from ssdreg.tuning.budget import Budget
from ssdreg.tuning.prepared import Prepared
from ssdreg.tuning.recipe import Recipe

#: How a trial ended: after all epochs, or none would have been better; the loss diverged; Ctrl-C,
#: the end of the budget or a crash stopped it, and it tells nothing.
FINISHED, PRUNED, DIVERGED, INTERRUPTED = "finished", "pruned", "diverged", "interrupted"

#: The warmup is at most this share of a trial: of a long training it is a small part too.
_WARMUP = 0.1


@frozen
class Trial:
    """What a trial came to.

    - `number`: counted from 0, which is the default recipe
    - `ap`: the best validation AP of its epochs (COCO's, 0..1), NaN where it has none
    - `outcome`: ``finished``, ``pruned``, ``diverged`` or ``interrupted``
    - `epochs`, `seconds`: how long it was trained
    """

    number: int
    recipe: Recipe
    ap: float
    outcome: str
    epochs: int
    seconds: float


class _StoppedError(Exception):
    """A trial ends before its last epoch; `outcome` says why. Raised through the training loop."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


#: Called with every epoch of a trial; tells whether to give it up.
Judge = Callable[[Epoch], bool]


@frozen
class Trained:
    """The epochs of a trial, and how it ended."""

    epochs: tuple[Epoch, ...]
    outcome: str

    @property
    def ap(self) -> float:
        """The best AP; 0 where the loss diverged, NaN where no epoch was measured."""
        if self.outcome == DIVERGED:
            return 0.0
        return max((value(epoch) for epoch in self.epochs), default=math.nan)


def value(epoch: Epoch) -> float:
    """Return what a trial's epoch is judged by."""
    return 0.0 if math.isnan(epoch.ap) else epoch.ap


def train_trial(prepared: Prepared, recipe: Recipe, epochs: int, folder: Path, budget: Budget,
                is_hopeless: Judge, progress: Progress) -> Trained:
    """Train by a recipe for so many epochs, in a folder that is deleted afterwards.

    Ends early where `is_hopeless` says so of an epoch, or `budget` is used up. Raises
    Interrupted after Ctrl-C.
    """
    options = recipe.options(attrs.evolve(prepared.default, epochs=epochs, keep_epochs=1))
    updates = epochs * math.ceil(prepared.data.train.images / options.batch_size)
    options = attrs.evolve(options, warmup=min(options.warmup, math.ceil(_WARMUP * updates)))
    measured: list[Epoch] = []

    def told(event: object) -> None:
        if isinstance(event, Epoch):
            measured.append(event)
            progress(event)
            # asked of the last one too, so that it is noted
            if is_hopeless(event) and event.epoch < epochs:
                raise _StoppedError(PRUNED)
        elif isinstance(event, Work):
            progress(event)
            if budget.left <= 0 and not event.ended:
                raise _StoppedError(INTERRUPTED)
    network = prepared.network
    delete(folder)
    try:
        run = create_run(folder, prepared.data.train.classes, network.plan, network.train,
                         network.deploy)
        train_run(run, attrs.evolve(prepared.data, augmentation=augmentation(recipe.augment)),
                  options, prepared.choice, prepared.taken, progress=told)
        outcome = FINISHED
    except _StoppedError as stopped:
        outcome = stopped.outcome
    except DivergedError:
        outcome = DIVERGED
    finally:
        delete(folder)
    return Trained(tuple(measured), outcome)


def delete(folder: Path) -> None:
    """Delete a trial's folder, where one of this tuning was left too."""
    if folder.exists():
        shutil.rmtree(folder)
