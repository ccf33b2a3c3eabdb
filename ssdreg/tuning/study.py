"""The search, which Optuna leads: it chooses recipes, gives trials up, and writes them down."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.names import native

from ssdreg.errors import DependencyError, RunError
from ssdreg.runs.log import Epoch
from ssdreg.tuning.recipe import Recipe, Space
from ssdreg.tuning.trial import (
    DIVERGED,
    FINISHED,
    INTERRUPTED,
    PRUNED,
    Trained,
    Trial,
    value,
)

if TYPE_CHECKING:
    import optuna

_NAME = "ssdreg"
#: Attributes of Optuna's trials.
_RECIPE, _OUTCOME, _REPEATS = "recipe", "outcome", "repeats"
#: Recipes drawn at random before earlier ones are learnt from.
_RANDOM = 5
#: So many trials are trained to their end before others are measured by them, and so many epochs
#: of each: the first epoch of a good recipe may be as bad as that of any.
_UNPRUNED, _UNJUDGED = 3, 2


def need_optuna() -> None:
    """Raise DependencyError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise DependencyError("recipes are searched by a package that is not installed: run "
                              f"`{install('tune', 'ssdreg')}`") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing of what is told here, for a while."""
    import optuna
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@frozen
class Asked:
    """A trial that was begun, and its recipe."""

    trial: optuna.Trial
    recipe: Recipe

    @property
    def number(self) -> int:
        """Its number, counted from 0."""
        return int(self.trial.number)

    def is_hopeless(self, epoch: Epoch) -> bool:
        """Note an epoch; tell whether it is worse than the median of other trials' there."""
        self.trial.report(value(epoch), epoch.epoch)
        return bool(self.trial.should_prune())


class Study:
    """All trials of a tuning, in a file that is appended to: a crash loses only what is under way.

    Raises RunError where the file is none of Optuna's.
    """

    def __init__(self, file: Path, seed: int) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        self._states = optuna.trial.TrialState
        try:
            storage = JournalStorage(JournalFileBackend(native(file)))
            self._study = optuna.create_study(
                storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED,
                                                   n_warmup_steps=_UNJUDGED))
        except (ValueError, KeyError) as error:
            raise RunError(f"{file} does not hold the trials that `ssdreg tune` wrote: "
                           f"{type(error).__name__}: {error}") from error
        # seeded anew when it goes on, so that it does not draw what was drawn before
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=_RANDOM, seed=seed + len(self._study.get_trials(deepcopy=False)))

    def enqueue(self, params: Any) -> None:
        """Let a recipe be one of the next trials."""
        self._study.enqueue_trial(dict(params))

    def repeat_interrupted(self) -> None:
        """Mark what a crash left as interrupted, and let all such trials be tried again, once."""
        trials = self._study.get_trials(deepcopy=False)
        repeated = {trial.user_attrs.get(_REPEATS) for trial in trials}
        for trial in trials:
            if trial.state == self._states.RUNNING:
                self._study.tell(trial.number, state=self._states.FAIL)
            if (trial.state in (self._states.RUNNING, self._states.FAIL)
                    and trial.number not in repeated):
                self._study.enqueue_trial(trial.params, user_attrs={_REPEATS: trial.number})

    def ask(self, space: Space) -> Asked:
        """Begin a trial."""
        trial = self._study.ask()
        recipe = space.suggest(trial)
        trial.set_user_attr(_RECIPE, attrs.asdict(recipe))
        return Asked(trial, recipe)

    def tell(self, asked: Asked, trained: Trained) -> None:
        """Note how a trial ended."""
        asked.trial.set_user_attr(_OUTCOME, trained.outcome)
        if trained.outcome in (FINISHED, DIVERGED):
            # what diverged counts, as the worst there can be, so that its like is not tried again
            self._study.tell(asked.trial, trained.ap)
        else:
            state = self._states.PRUNED if trained.outcome == PRUNED else self._states.FAIL
            self._study.tell(asked.trial, state=state)

    def interrupt(self) -> None:
        """Mark the trial under way, if any, as interrupted."""
        for trial in self._study.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
            self._study.tell(trial.number, state=self._states.FAIL)

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials that have ended, in their order."""
        ended = (trial for trial in self._study.get_trials(deepcopy=False)
                 if trial.state.is_finished() and _RECIPE in trial.user_attrs)
        return tuple(_trial(trial) for trial in ended)


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    outcome = trial.user_attrs.get(_OUTCOME, INTERRUPTED)
    measured = trial.intermediate_values
    ap = 0.0 if outcome == DIVERGED else max(measured.values(), default=math.nan)
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return Trial(trial.number, Recipe(**trial.user_attrs[_RECIPE]), ap, outcome, len(measured),
                 seconds)
