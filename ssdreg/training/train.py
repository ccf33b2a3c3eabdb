"""Training as a whole, from data to a run: `ssdreg.train`, and `ssdreg.resume` to go on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen
from ssdreg_runtime.system.leftovers import sweep

from ssdreg.data import Augmentation, DataIssue, splits
from ssdreg.data.boxes import boxes
from ssdreg.detector.plan import Plan
from ssdreg.engines.choice import AUTO, choose_engine
from ssdreg.engines.processes import (
    Group,
    Processes,
    any_says,
    one_a_machine_first,
    started_together,
    wait,
)
from ssdreg.errors import DataError, RunError, SsdregError, StorageError
from ssdreg.progress import Note, Progress, silent
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head
from ssdreg.runs.lock import writing
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import Run, open_run, write_config, write_network
from ssdreg.training import choices, restarting, state
from ssdreg.training.advice import advise, reached
from ssdreg.training.freezing import fixed
from ssdreg.training.learner import check_devices, check_recomputation
from ssdreg.training.options import TrainOptions
from ssdreg.training.state import Saved
from ssdreg.training.state_file import Training
from ssdreg.training.trainer import Data, resume_run, train_run
from ssdreg.training.watching import draw, watching


@frozen
class TrainingResult:
    """The result of a training.

    - `run`: its folder, see `ssdreg.Run`
    - `best_epoch`: the one on disk with the best validation mAP, the last where none was validated
    - `epochs`: its log, an entry an epoch
    - `issues`: what is wrong with the data that were read
    - `advice`: sentences on what likely holds the detector back
    """

    run: Run
    best_epoch: int
    epochs: tuple[Epoch, ...]
    issues: tuple[DataIssue, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def map(self) -> float:
        """The validation mAP of the best epoch at IoU 0.5, 0..1; NaN where none was validated."""
        return next((line.map for line in self.epochs if line.epoch == self.best_epoch), math.nan)

    @property
    def params_file(self) -> Path:
        """The parameters of the best epoch."""
        return self.run.params_file(self.best_epoch)


def train(*, data: str | os.PathLike[str], out: str | os.PathLike[str],
          backbone: str | Backbone | None = None, split: str | None = None,
          val_data: str | os.PathLike[str] | None = None, val_split: str | None = None,
          data_format: str | None = None,
          data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd",
          tap_strides: Sequence[int] | None = None,
          sizes: str | Sequence[Sequence[float]] | None = None, loss: str | None = None,
          box_loss: str | None = None, nms_threshold: float | None = None,
          pretrained: str | os.PathLike[str] | bool | None = None,
          augment: str | Augmentation | None = "light", epochs: int | None = None,
          batch_size: int | None = None, optimizer: str = "adam", lr: float | None = None,
          momentum: float = 0.9, wd: float = 1e-5, lr_steps: Sequence[int] = (),
          lr_factor: float = 0.1, warmup: int = 50, freeze: str | None = None,
          freeze_stages: int | None = None, freeze_norm: bool = False,
          sync_norm: bool = False, wire: str = "float32", head_lr: float = 1.0,
          skip_negatives: bool = False, average: float = 1.0, seed: int = 0, patience: int = 0,
          validate_every: int = 1, keep_epochs: int = 10, engine: str | Engine = AUTO,
          device: str = "cpu", precision: str = AUTO, compile: str = AUTO,
          recompute: bool = False, tensorboard: bool = False,
          progress: Progress | None = None) -> TrainingResult:
    """Train a detector on images with boxes, as ``ssdreg train`` does, and return its run.

    What is trained on:

    - `data`: a data set of any format that `ssdreg.data.formats` knows, or a ``.rec`` file; `split`
      names the part to train on, `data_format` the format where looking does not tell it
    - `val_data`, `val_split`: what every epoch is validated on. What is not named is chosen:
      ``train`` and ``val``, ``trainval`` and ``test``, or a tenth of the images held out by name
    - `augment`: ``light``, ``ssd`` (the paper's, for long trainings), ``none``, or an
      `Augmentation`

    What is trained:

    - `backbone`: a name of `ssdreg.list_backbones`, or a `Backbone`
    - `data_shape` (a side in pixels, or (height, width)), `head`, `tap_strides`, `loss`: see
      `ssdreg.plan`. `sizes` are the name of a scheme, or those of each level as shares of the
      image's height; None fits them to the boxes. `box_loss` is ``giou`` by default, or the
      head's own where it has none; ``smooth_l1`` is the paper's. `nms_threshold` is the overlap
      from which on the lesser of two boxes of a class is dropped
    - `pretrained`: None starts from the backbone's own weights where they are on disk, True
      fetches them, False starts from nothing; or the name of weights or of a detector that is
      declared with them, a ``.params`` file, or the folder of a run. A run, or such a detector,
      without `backbone` goes on as the network it is

    How it is trained: those that are None depend on whether training starts from weights.
    `epochs` are 60 from nothing and 20 from weights, or more where the images are so few that
    this makes less than 700 updates; `batch_size` is 16 or 8, `lr` 1e-3 or 4e-3 (1e-3 for a
    backbone without batch normalisation), `freeze_stages` 0 or 2. The others are fields of
    `ssdreg.TrainOptions`.

    What computes: `engine` is a name of `ssdreg.list_engines`, or "auto": that of a plug-in where
    one is installed that can, else MXNet. `device` is ``cpu``, ``cuda``, ``cuda:0,1`` or ``mps``.
    Processes that torchrun started train together where the engine can, each with a part of every
    batch; the first one writes and tells. Started again by it, they go on from what is saved.

    `out` is the folder of the run, made here; it is written epoch by epoch, its curves are drawn,
    and with `tensorboard` so are its events. `progress` is called
    with every `Note`, `Work`, `Step` and `Epoch`; `print` will do.

    Raises SsdregError, a sentence, before anything is written, for data, a network, weights or
    options that cannot be; RunError where `out` holds a run in which anything was learnt, where
    another process trains in it, or the loss stops being a number; StorageError where a disk is
    full; Interrupted after Ctrl-C, when all is saved: `ssdreg.resume` goes on.
    """
    processes = started_together()
    tell = progress if progress and processes.is_first else silent
    detector = choices.DetectorChoice(data_shape, head, tap_strides, sizes, loss, box_loss,
                                      nms_threshold)
    named_source = choices.continued_detector(pretrained, detector) if backbone is None else None
    if backbone is None and named_source is None:
        raise SsdregError(choices.NEEDED)
    # whatever can be refused is refused before data are packed and a folder is made
    folder = Path(out)
    begun = restarting.is_of_job(folder, processes)
    if begun and restarting.is_saved(folder):
        tell(Note(f"started again by torchrun: going on with {out}"))
        with _writing(folder, processes, "ssdreg train, started again"):
            opened_run = open_run(folder)
            saved = _stands(opened_run, processes, tell)
            return _go_on(opened_run, saved, engine, device, processes, tensorboard, tell)
    if not begun:
        restarting.refuse_learnt(folder)
    given = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr,
             "momentum": momentum, "wd": wd, "lr_steps": lr_steps, "lr_factor": lr_factor,
             "warmup": warmup, "freeze": freeze, "freeze_stages": freeze_stages,
             "freeze_norm": freeze_norm, "sync_norm": sync_norm, "wire": wire,
             "head_lr": head_lr, "skip_negatives": skip_negatives, "average": average, "seed": seed,
             "patience": patience, "validate_every": validate_every, "keep_epochs": keep_epochs,
             "precision": precision, "compile": compile, "recompute": recompute}
    recipe, augmentation = choices.recipe(given), choices.augmentation(augment)
    choice = choose_engine(engine, device, processes=processes)
    check_devices(recipe, choice.devices, processes.count)
    choice.precision(recipe.precision)
    choice.check_compile(recipe.compile)
    choice.check_wire(recipe.wire)
    check_recomputation(recipe, choice.engine)
    named = backbone or ""  # empty where a run goes on
    with _writing(folder, processes, "ssdreg train"), choice.connected() as group:
        if not begun and processes.is_first:  # another may have learnt there in the meantime
            restarting.refuse_learnt(folder)
        with one_a_machine_first(group):
            continued = choices.open_continued(named_source, tell)
            start = choices.beginning(named, continued, pretrained, tell)
            source = splits.choose(Path(data), split, _path(val_data), val_split, data_format)
            opened = choices.open_training(source, augmentation, tell)
        network = choices.network(named, continued, detector, opened)
        recipe = choices.fitted_recipe(given, network, opened.train.images,
                                       tuned=start is not None)
        check_devices(recipe, choice.devices, processes.count)
        fixed(network.train, network.plan, recipe)
        taken = None
        if start is not None:
            taken = choices.taken(start, network, opened)
            tell(Note(f"starts from {start.what}: {taken.describe()}"))
        elif pretrained is not False:
            tell(Note(choices.without_weights(named)))
        if processes.is_first:
            restarting.forget(folder)
            restarting.note(folder, processes)
            run = Run(folder, opened.train.classes, network.plan)
            write_network(run, network.train, network.deploy)
            state.save_start(run, Training(
                engine=choice.engine.name, data_shape=network.plan.data_shape, options=recipe,
                data=source, augmentation=augmentation), taken.params if taken else None)
            write_config(run)
        wait(group)
        run = open_run(folder)
        tell(Note(_describe(network.plan, opened, recipe)))
        if source.validation is not None:
            tell(Note(f"validates on {splits.describe_validation(source)}"))
        try:
            with watching(run.path, tensorboard and processes.is_first) as after_epoch:
                train_run(run, opened, recipe, choice, taken, group=group,
                          after_epoch=after_epoch, progress=tell)
        except SsdregError as error:
            # a batch that is too large is known late: the same command with another one begins
            # anew. What a disk or a picture is to blame for can also be gone on with
            if (processes.is_first and not restarting.is_saved(run.path)
                    and not isinstance(error, (DataError, StorageError))):
                restarting.forget(run.path)
            raise
        return _finished(run, opened, recipe, tell)


def resume(run: str | os.PathLike[str], *, epochs: int | None = None,
           data: str | os.PathLike[str] | None = None, split: str | None = None,
           val_data: str | os.PathLike[str] | None = None, val_split: str | None = None,
           data_format: str | None = None, engine: str | Engine = AUTO, device: str = "cpu",
           tensorboard: bool = False, progress: Progress | None = None) -> TrainingResult:
    """Go on with a run where it was stopped, step for step as if it had not been.

    `run` is its folder. It keeps its network, recipe and augmentation; `epochs` may make it longer,
    and `data`, with the arguments about splits and `data_format`, may say where its data are now.
    `engine` by default is the one that computed it before, where that can; another goes on from the
    same parameters and the same state of the optimizer. `device`, `tensorboard` and `progress` are
    those of `ssdreg.train`.

    A run that was killed goes on from its last state, or from its start where there is none yet.
    Where the newest state is damaged, it goes on from the newest epoch whose parameters are whole,
    with an optimizer that begins anew, and a `Note` says so.

    Raises RunError for what is no run, or cannot go on, and where another process trains in it;
    DataError for data that cannot be read; StorageError and Interrupted as `ssdreg.train` does.
    """
    processes = started_together()
    tell = progress if progress and processes.is_first else silent
    opened_run = open_run(Path(run))
    if data is None and (split or val_data or val_split):
        raise SsdregError("--split, --val-data and --val-split go with --data: give --data too, "
                          "or leave them out and the run's own data are used")
    with _writing(opened_run.path, processes, "ssdreg train --resume"):
        saved = _stands(opened_run, processes, tell)
        if data is not None:
            saved = evolve(saved, data=splits.choose(Path(data), split, _path(val_data), val_split,
                                                     data_format))
        if epochs is not None:
            saved = evolve(saved, options=evolve(
                saved.options, epochs=choices.recipe({"epochs": epochs}).epochs))
        return _go_on(opened_run, saved, engine, device, processes, tensorboard, tell)


def _go_on(run: Run, saved: Saved, engine: str | Engine, device: str, processes: Processes,
           tensorboard: bool, tell: Progress) -> TrainingResult:
    if saved.state.epoch >= saved.options.epochs:
        tell(Note(f"{run.path} has had its {saved.options.epochs} epochs; "
                  f"give a larger --epochs to go on"))
        if processes.is_first and run.log():
            draw(run.path)
        return _result(run)
    choice = choose_engine(engine, device, saved.engine, processes)
    check_devices(saved.options, choice.devices, processes.count)
    check_recomputation(saved.options, choice.engine)
    if processes.count > 1:
        choice.check_wire(saved.options.wire)
        if saved.options.wire == "2bit":
            tell(Note("--wire 2bit: what the processes had not sent yet of their gradients was not "
                      "saved; each begins with nothing kept"))
    tell(Note(f"going on in epoch {saved.state.epoch + 1} of {saved.options.epochs}, "
              f"after step {saved.state.step}"))
    with choice.connected() as group:
        _refuse_other_states(run, saved, group)
        with one_a_machine_first(group):
            opened = choices.open_training(saved.data, saved.augmentation, tell)
        with watching(run.path, tensorboard and processes.is_first) as after_epoch:
            resume_run(run, saved, opened, choice, group=group, after_epoch=after_epoch,
                       progress=tell)
        return _finished(run, opened, saved.options, tell)


@contextmanager
def _writing(folder: Path, processes: Processes, what: str) -> Iterator[None]:
    """Be the one training of a folder, which the first of several processes sees to."""
    if not processes.is_first:
        yield
        return
    with writing(folder, what):
        sweep(folder)
        yield


def _stands(run: Run, processes: Processes, tell: Progress) -> Saved:
    """Return where a run stands, which the first of several processes has put in order."""
    if processes.is_first:
        state.finish(run)
    return state.load(run, tell)


def _refuse_other_states(run: Run, saved: Saved, group: Group) -> None:
    """Raise RunError where a process read another state than the first one."""
    state_of_first = group.sum((saved.state.updates if group.processes.is_first else 0,))[0]
    if any_says(group, saved.state.updates != state_of_first):
        raise RunError(f"the processes read different states of {run.path}: is it the same folder "
                       f"on all machines? Give the same command again where it is")


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


def _describe(plan: Plan, data: Data, recipe: TrainOptions) -> str:
    """Describe the network and its data in a sentence."""
    classes, negatives = data.train.classes, ""
    if data.train.negatives:
        negatives = (f", {data.train.negatives} of them without any, "
                     f"{'left out' if recipe.skip_negatives else 'as background'}")
    return (f"{plan.backbone}, {plan.head} at {plan.data_shape[0]}x{plan.data_shape[1]}: "
            f"{data.train.images} images with {data.train.objects} objects of {len(classes)} "
            f"classes ({', '.join(classes)}){negatives}")


def _finished(run: Run, data: Data, recipe: TrainOptions, tell: Progress) -> TrainingResult:
    """Say what was reached and what would likely help; return the result of a training."""
    log = run.log()
    if log and log[-1].epoch < recipe.epochs:
        tell(Note(f"ended after epoch {log[-1].epoch}: the last {recipe.patience} validations were "
                  f"no better than that of epoch {run.best_epoch()}"))
    if reached(log, recipe.average):
        tell(Note(reached(log, recipe.average)))
    sentences = advise(log, run.plan, boxes(data.train), run.classes)
    for sentence in sentences:
        tell(Note(sentence))
    return TrainingResult(run, run.best_epoch(), log, data.issues, sentences)


def _result(run: Run) -> TrainingResult:
    return TrainingResult(run, run.best_epoch(), run.log())
