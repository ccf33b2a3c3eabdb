"""Tuning as a whole, from data to a recipe: `ssdreg.tune`, and `ssdreg.resume_tuning` to go on."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import attrs
from ssdreg_runtime.system.files import stored
from ssdreg_runtime.system.leftovers import sweep

from ssdreg.data import splits
from ssdreg.engines.choice import AUTO
from ssdreg.errors import Interrupted, RunError, SsdregError
from ssdreg.progress import Note, Progress, silent
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head
from ssdreg.runs.lock import writing
from ssdreg.runs.log import duration
from ssdreg.training.choices import DetectorChoice, fitted_recipe
from ssdreg.training.options import TrainOptions
from ssdreg.tuning.budget import Budget
from ssdreg.tuning.curve import RateCurve, read_curve, write_curve
from ssdreg.tuning.picture import draw_tuning
from ssdreg.tuning.prepared import Parts, Prepared, Task, as_text, prepare
from ssdreg.tuning.range_test import measure_rates
from ssdreg.tuning.recipe import Recipe, Space, default_recipe, space
from ssdreg.tuning.record import (
    BEST,
    PICTURE,
    RANGE,
    STUDY,
    TABLE,
    UNDER_WAY,
    Record,
    read_record,
    refuse_tuning,
    write_record,
)
from ssdreg.tuning.result import Tuning, best_trial, train_command, write_table
from ssdreg.tuning.study import Study, need_optuna, quiet
from ssdreg.tuning.trial import Trial, delete, train_trial

#: Minutes, where none are given.
BUDGET = 30.0
#: So many trials are to fit into the budget, by which the epochs of one are chosen.
_TRIALS = 12
#: A trial of one epoch tells how fast a recipe begins, not where it gets to.
_LEAST_EPOCHS = 2
#: The share of the budget that the range test takes at most, but for its fewest steps.
_RANGE_SHARE = 0.15
#: What the time of a trial may be longer than that of the longest one before.
_MARGIN = 1.1


def tune(*, data: str | os.PathLike[str], out: str | os.PathLike[str],
         backbone: str | Backbone | None = None, split: str | None = None,
         val_data: str | os.PathLike[str] | None = None, val_split: str | None = None,
         data_format: str | None = None, data_shape: int | tuple[int, int] = 300,
         head: str | Head = "ssd", tap_strides: Sequence[int] | None = None,
         sizes: str | Sequence[Sequence[float]] | None = None, loss: str | None = None,
         box_loss: str | None = None, pretrained: str | os.PathLike[str] | bool | None = None,
         budget: float = BUDGET, epochs: int | None = None, seed: int = 0,
         engine: str | Engine = AUTO, device: str = "cpu",
         progress: Progress | None = None) -> Tuning:
    """Search for a recipe to train a detector by, as ``ssdreg tune`` does, and return it.

    First a learning-rate range test: a few steps with ever higher rates, which bound those that
    are searched. Then short trainings, each by another recipe that Optuna chooses: its learning
    rate, batch size, frozen stages, the rate behind the backbone, its augmentation. The first is
    the default recipe. Each is validated after every epoch by COCO's AP, and given up where
    it is worse than the median of the others.

    - `data`, `split`, `val_data`, `val_split`, `data_format`: as `ssdreg.train` takes them
    - `backbone`, `data_shape`, `head`, `tap_strides`, `sizes`, `loss`, `box_loss`, `pretrained`:
      as `ssdreg.train` takes them; they stay as they are
    - `out`: the folder that is written: the trials, a table and a picture of them
    - `budget`: minutes of wall time, all together. A trial that would not end within them is not
      begun
    - `epochs`: those of a trial; None takes so many that about twelve trials fit into the budget
    - `seed`: of the trainings and of the search
    - `engine`, `device`: what computes, as in `ssdreg.train`
    - `progress`: called with every `Note`, `Work`, `Step` and `Epoch`

    Raises SsdregError, a sentence, before anything is written, for what `ssdreg.train` refuses
    and data without anything to validate on; DependencyError where Optuna is not installed;
    RunError where `out` holds a tuning already, or the budget is too short for one trial;
    Interrupted after Ctrl-C: `ssdreg.resume_tuning` goes on.
    """
    tell, folder = progress or silent, Path(out)
    clock = Budget(_seconds(budget))
    need_optuna()
    refuse_tuning(folder)
    if epochs is not None and epochs < 1:
        raise SsdregError(f"--epochs {epochs}: a trial has one epoch or more")
    source = splits.choose(Path(data), split, Path(val_data) if val_data is not None else None,
                           val_split, data_format)
    parts = Parts(backbone or "", head, engine)
    task = Task(
        source=source, backbone=_name(parts.backbone), engine=_name(engine), device=device,
        detector=DetectorChoice(data_shape, _name(head), tap_strides, sizes, loss, box_loss),
        pretrained=as_text(pretrained), seed=seed)
    with writing(folder, "ssdreg tune"):
        refuse_tuning(folder)
        prepared = prepare(task, parts, tell)
        record = Record(task=task, budget=clock.seconds, epochs=epochs)
        write_record(folder, record)
        return _Search(folder, record, prepared, clock, tell).run()


def resume_tuning(out: str | os.PathLike[str], *, budget: float | None = None,
                  progress: Progress | None = None) -> Tuning:
    """Go on with a tuning: with what is left of its budget, or with `budget` minutes from now on.

    `out` is its folder; data, network and engine are those of before. Trials that were interrupted
    are begun anew. `progress` is that of `ssdreg.tune`.

    Raises RunError for what is no tuning, or cannot go on, and what `ssdreg.tune` raises.
    """
    tell, folder = progress or silent, Path(out)
    need_optuna()
    read_record(folder)
    with writing(folder, "ssdreg tune --resume"):
        sweep(folder)
        delete(folder / UNDER_WAY)  # what a killed one left
        # and Optuna's own lock, for which it would wait
        for file in folder.glob(f"{STUDY}.lock*"):
            file.unlink()
        record = read_record(folder)
        if budget is not None:
            record = attrs.evolve(record, budget=_seconds(budget), spent=0.0)
        clock = Budget(record.budget, record.spent)
        prepared = prepare(record.task, Parts.named_by(record.task), tell)
        return _Search(folder, record, prepared, clock, tell).run()


class _Search:
    """The search in a folder: the range test where it is missing, trials while there is time."""

    def __init__(self, folder: Path, record: Record, prepared: Prepared, budget: Budget,
                 tell: Progress) -> None:
        self._folder, self._record, self._prepared = folder, record, prepared
        self._budget, self._tell = budget, tell
        #: How long data and network took to open, which going on takes again.
        self._opening = budget.spent - record.spent
        #: The longest that a trial took here an epoch, with all that is written after it.
        self._longest = 0.0

    def run(self) -> Tuning:
        """Go on until the budget is used up; return what was found.

        Whatever ends it, the trials and the time spent are on the disk.
        """
        with quiet(), stored(self._folder):
            study = Study(self._folder / STUDY, self._prepared.task.seed)
            try:
                curve = self._curve()
                searched = space(self._prepared, curve)
                self._begin(study, searched, curve)
                self._try_recipes(study, searched, curve)
            except KeyboardInterrupt as error:
                study.interrupt()
                raise Interrupted from error
            finally:
                self._save(study)
            return self._result(study.trials(), curve)

    def _curve(self) -> RateCurve:
        """Return the losses of the range test, made now where it was not before."""
        file = self._folder / RANGE
        if file.is_file() and self._record.image_seconds:
            return read_curve(file)
        tested = measure_rates(self._prepared, _RANGE_SHARE * self._budget.seconds, self._tell)
        write_curve(file, tested.curve)
        self._record = attrs.evolve(self._record, image_seconds=tested.image_seconds)
        curve = tested.curve
        self._draw((), curve)
        if curve.falls:
            ending = ("it diverges at " + f"{curve.divergence:.2g}"
                      if math.isfinite(curve.divergence) else "it did not diverge")
            self._tell(Note(f"range test: the loss falls from a rate of {curve.begin:.2g} on, "
                            f"fastest at {curve.steepest:.2g}, and rises beyond "
                            f"{curve.highest:.2g}; {ending}"))
        else:
            self._tell(Note("range test: the loss fell at no rate, so rates near the default are "
                            "tried"))
        return curve

    def _begin(self, study: Study, searched: Space, curve: RateCurve) -> None:
        """Choose the epochs of a trial, and the first recipes."""
        self._record = attrs.evolve(self._record, epochs=self._record.epochs or self._epochs())
        low, high = searched.rates
        self._tell(Note(f"trials of {self._record.epochs} epochs, with rates of {low:g} to "
                        f"{high:g}, while the budget lasts: {duration(max(0, self._budget.left))}"))
        if study.trials():
            study.repeat_interrupted()
            return
        default = default_recipe(self._prepared.default)
        study.enqueue(searched.params(default))
        if curve.falls:
            rate = float(f"{curve.middle:.3g}")
            study.enqueue(searched.params(attrs.evolve(default, lr=min(max(rate, low), high))))

    def _epochs(self) -> int:
        """Return so many epochs that some trials fit into what is left of the budget."""
        fitting = int(self._budget.left / (_TRIALS * self._epoch_seconds(())))
        return max(_LEAST_EPOCHS, min(fitting, self._prepared.default.epochs))

    def _try_recipes(self, study: Study, searched: Space, curve: RateCurve) -> None:
        while True:
            trials = study.trials()
            needed = self._trial_seconds(trials)
            if self._budget.left < needed:
                break
            began = self._budget.spent
            proposal = study.ask(searched)
            self._tell(Note(f"trial {proposal.number}: {proposal.recipe}"))
            trained = train_trial(self._prepared, proposal.recipe, self._record.epochs or 1,
                                  self._folder / UNDER_WAY, self._budget, proposal.is_hopeless,
                                  self._tell)
            study.tell(proposal, trained)
            self._save(study)
            self._draw(study.trials(), curve)
            self._longest = max(self._longest, (self._budget.spent - began)
                                / max(1, len(trained.epochs)))
            best = best_trial(study.trials())
            reached = "no epoch" if math.isnan(trained.ap) else f"AP {trained.ap:.3f}"
            self._tell(Note(f"trial {proposal.number} {trained.outcome}: {reached}"
                            + (f"; best so far {best.ap:.3f} of trial {best.number}" if best
                               else "")))
        self._tell(Note(f"ended: {duration(max(0, self._budget.left))} of the budget are left, "
                        f"and a trial takes about {duration(needed)}"))

    def _epoch_seconds(self, trials: Sequence[Trial]) -> float:
        """Return how long an epoch is, validated: the longest there was, else by the range test."""
        data = self._prepared.data
        images = data.train.images + (data.validation.images if data.validation else 0)
        measured = [trial.seconds / trial.epochs for trial in trials if trial.epochs]
        return max(*measured, self._longest) if measured else images * self._record.image_seconds

    def _trial_seconds(self, trials: Sequence[Trial]) -> float:
        return _MARGIN * (self._record.epochs or 1) * self._epoch_seconds(trials)

    def _save(self, study: Study) -> None:
        self._record = attrs.evolve(self._record, spent=self._budget.spent)
        write_record(self._folder, self._record)
        write_table(self._folder / TABLE, study.trials())

    def _draw(self, trials: Sequence[Trial], curve: RateCurve) -> None:
        draw_tuning(self._folder / PICTURE, self._folder.name, curve, trials)

    def _result(self, trials: tuple[Trial, ...], curve: RateCurve) -> Tuning:
        best = best_trial(trials)
        if best is None:
            needed = self._opening + self._trial_seconds(trials)
            raise RunError(f"a budget of {duration(self._budget.seconds)} is too short for one "
                           f"trial of {self._record.epochs} epochs: go on by --resume with "
                           f"--budget {math.ceil(needed / 6) / 10:g} or more")
        return Tuning(self._folder, best, self._options(best.recipe), trials, curve,
                      train_command(self._prepared.task, best.recipe, self._folder / BEST))

    def _options(self, recipe: Recipe) -> TrainOptions:
        """Return a recipe for a whole training, its epochs fitted to its batches."""
        prepared = self._prepared
        given = {"lr": recipe.lr, "batch_size": recipe.batch_size, "head_lr": recipe.head_lr,
                 "freeze_stages": recipe.freeze_stages, "seed": prepared.task.seed}
        return fitted_recipe(given, prepared.network, prepared.data.train.images,
                             tuned=prepared.taken is not None)


def _seconds(minutes: float) -> float:
    """Return a budget in seconds; raise SsdregError where it is none."""
    if not 0 < minutes < math.inf:
        raise SsdregError(f"--budget {minutes:g}: give minutes, more than 0")
    return 60.0 * minutes


def _name(part: str | Backbone | Head | Engine) -> str:
    return part if isinstance(part, str) else part.name
