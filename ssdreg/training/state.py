"""Where a training run stands, on disk, so that it goes on as if nothing had happened.

The parameters and the optimizer's arrays are written first; ``state.json``, which names them with
their checksums, is renamed into place last. A stop at any moment leaves either the old state or the
new one. Before the first of them there is ``start.json``, from which a training begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from ssdreg_runtime.system.files import digest, replacing

from ssdreg.data import Augmentation
from ssdreg.data.splits import DataSpec
from ssdreg.errors import RunError
from ssdreg.progress import Note, Progress, silent
from ssdreg.runs.arrays import read_arrays
from ssdreg.runs.checksums import damage, readable_checksums, withdraw, write_checksums
from ssdreg.runs.params import Params, by_kind, named, read_params, write_params
from ssdreg.runs.run import PREFIX, Run
from ssdreg.training.options import TrainOptions
from ssdreg.training.state_file import (
    START,
    START_PARAMS,
    STATE,
    StartFile,
    State,
    StateFile,
    StoredFile,
    Training,
    read_state,
    read_training,
    write_training,
)

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The file whose being there says that something was saved.
FILE = STATE


@frozen
class Saved:
    """A state read back, with the options and data it belongs to, and what computed it.

    `params` are what has been learnt, `average` is what is deployed in their place, if anything.
    Before the first step they are what training starts from, and may be only some, or none. Without
    an `optimizer`'s arrays it begins anew.
    """

    state: State
    options: TrainOptions
    data: DataSpec
    augmentation: Augmentation | None
    params: Params
    optimizer: Mapping[str, mx.nd.NDArray]
    engine: str
    average: Params | None = None


#: What the names of learnt parameters begin with in the optimizer's file, where the file of
#: parameters holds their average.
_LEARNT = "learnt:"


def save_start(run: Run, training: Training, params: Params | None) -> None:
    """Write from where a training begins, before the run's folder is one.

    `params` are those that it starts from, None where all are drawn.
    """
    stored = None
    if params is not None:
        file = run.path / START_PARAMS
        write_params(file, params)
        stored = StoredFile(file.name, digest(file))
    write_training(run, StartFile(
        engine=training.engine, data_shape=training.data_shape, options=training.options,
        data=training.data, augmentation=training.augmentation, start=stored))


def save(run: Run, saved: Saved) -> None:
    """Write a state with the checksums of its files; delete those that are not kept any longer."""
    from ssdreg.mx import mx, save_arrays
    state = saved.state
    # only the end of an epoch is a checkpoint, and before the first one there is none
    between = state.step > 0 or state.epoch == 0
    tag = f"{PREFIX}-{state.epoch:04d}" + (f"-step{state.step:06d}" if between else "")
    params_file, optimizer_file = run.path / f"{tag}.params", run.path / f"{tag}.states"
    withdraw(run.path, params_file.name, optimizer_file.name)
    write_params(params_file, saved.average or saved.params)
    arrays = dict(saved.optimizer)
    if saved.average is not None:
        arrays.update({_LEARNT + name: array for name, array in named(saved.params).items()})
    with replacing(optimizer_file) as beside:
        # an empty dictionary cannot be saved, and plain SGD has no state
        save_arrays(beside, arrays or {"none": mx.nd.zeros((1,))})
    written = StateFile(
        engine=saved.engine, data_shape=run.plan.data_shape, options=saved.options,
        data=saved.data, augmentation=saved.augmentation, state=state,
        params=StoredFile(params_file.name, digest(params_file)),
        optimizer=StoredFile(optimizer_file.name, digest(optimizer_file)))
    write_training(run, written)
    _tidy(run, written)


def finish(run: Run) -> None:
    """Do what a kill behind the last state's name has left undone of its saving."""
    if (run.path / STATE).is_file():
        _tidy(run, read_state(run))


def _tidy(run: Run, saved: StateFile) -> None:
    """Note the checksums of the files that are kept, and delete the others.

    Those are of the state itself, the newest epochs and the best one.
    """
    epochs = run.epochs()
    kept = {saved.params.name, saved.optimizer.name}
    if epochs:
        kept.update(run.params_file(epoch).name
                    for epoch in (*epochs[-saved.options.keep_epochs:], run.best_epoch()))
    known = readable_checksums(run.path)
    write_checksums(run.path, {
        **{name: value for name, value in known.items()
           if name in kept or not name.startswith(PREFIX)},
        **{file.name: file.sha256 for file in (saved.params, saved.optimizer)}})
    for file in run.path.glob(f"{PREFIX}-*"):
        if file.suffix in (".params", ".states") and file.name not in kept:
            file.unlink()
    for name in (START, START_PARAMS):
        (run.path / name).unlink(missing_ok=True)


def load(run: Run, tell: Progress = silent) -> Saved:
    """Read where a run stands; before anything was saved, from where it begins.

    Where the files of its newest state are damaged, the newest epoch whose parameters are whole is
    taken, and `tell` is told so. Raises RunError when it cannot go on.
    """
    stands = read_training(run)
    if isinstance(stands, StartFile):
        return _load_start(run, stands)
    complaint = damage_of(run, stands)
    return _load_epoch(run, stands, complaint, tell) if complaint else _load_state(run, stands)


def _load_state(run: Run, stands: StateFile) -> Saved:
    arrays = read_arrays(run.path / stands.optimizer.name)
    params, average = read_params(run.path / stands.params.name), None
    learnt = {name[len(_LEARNT):]: array for name, array in arrays.items()
              if name.startswith(_LEARNT)}
    if learnt:
        params, average = by_kind(learnt), params
    optimizer = {name: array for name, array in arrays.items()
                 if name != "none" and not name.startswith(_LEARNT)}
    return _saved(stands, stands.state, params, optimizer, average)


def check_files(run: Run) -> None:
    """Raise RunError where a run cannot go on exactly where it stands, or begin where it begins."""
    stands = read_training(run)
    if isinstance(stands, StartFile):
        _load_start(run, stands)
        return
    complaint = damage_of(run, stands)
    if complaint:
        raise RunError(complaint)
    _load_state(run, stands)


def step_back(run: Run) -> None:
    """Write the state at the end of the newest whole epoch, with an optimizer that begins anew.

    Raises RunError where there is none.
    """
    stands = read_state(run)
    back = _load_epoch(run, stands, f"{run.path / STATE} cannot be gone on with", silent)
    save(run, back)


def _load_start(run: Run, begins: StartFile) -> Saved:
    params = Params({}, {})
    if begins.start is not None:
        complaint = _damage(run, begins.start)
        if complaint:
            raise RunError(f"{complaint}, and nothing was learnt yet: give the command that began "
                           f"{run.path} again, which begins anew")
        params = read_params(run.path / begins.start.name)
    return _saved(begins, State(), params, {}, None)


def _load_epoch(run: Run, stands: StateFile, complaint: str, tell: Progress) -> Saved:
    """Go back to the newest epoch that is whole, with an optimizer that begins anew."""
    epoch = next(run.whole_epochs(stands.state.epoch), None)
    if epoch is None:
        raise RunError(f"{complaint}, and there is no whole epoch to go back to: " + (
            f"give the command that began {run.path} again, which begins anew"
            if not run.epochs() else "start another run with another --out, or delete this one"))
    params = run.load_params(epoch)
    state = _end_of(run, stands.state, epoch)
    tell(Note(f"{complaint}: going back to epoch {epoch}, whose parameters are whole; its "
              f"optimizer begins anew"))
    return _saved(stands, state, params, {}, None)


def _end_of(run: Run, state: State, epoch: int) -> State:
    """Return the state at the end of an earlier epoch: of the log, or by its share of the steps."""
    line = next((line for line in run.log() if line.epoch == epoch), None)
    updates = line.steps if line else (state.updates - state.step) * epoch // state.epoch
    seconds = line.seconds if line else state.seconds * epoch / state.epoch
    return State(epoch=epoch, updates=updates, seconds=seconds, optimizer_began=updates)


def _saved(training: Training, state: State, params: Params,
           optimizer: Mapping[str, mx.nd.NDArray], average: Params | None) -> Saved:
    return Saved(state, training.options, training.data, training.augmentation, params, optimizer,
                 training.engine, average)


def damage_of(run: Run, stands: StateFile) -> str:
    """Say what is wrong with the files of a state; "" where nothing is."""
    return _damage(run, stands.params) or _damage(run, stands.optimizer)


def _damage(run: Run, file: StoredFile) -> str:
    """Say what is wrong with a state's file; "" where nothing is."""
    wrong = damage(run.path / file.name, file.sha256)
    return wrong and f"{run.path / file.name} is damaged: {wrong}"


def load_options(run: Run) -> TrainOptions:
    """Read the recipe of a run; raise RunError when that is not known."""
    return read_training(run).options


def load_engine(run: Run) -> str:
    """Read which engine computed a run; raise RunError when that is not known."""
    return read_training(run).engine


def load_source(run: Run) -> DataSpec:
    """Read what data a run trains and validates on; raise RunError when that is not known."""
    return read_training(run).data
