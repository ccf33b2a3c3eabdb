"""Where a training run stands, on disk, so that it goes on as if nothing had happened.

The parameters and the optimizer's arrays are written first; ``state.json``, which names them, is
renamed into place last. A stop at any moment leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
from attrs import field, frozen
from ssdreg_runtime.system.files import replacing, write_json
from ssdreg_runtime.system.names import native

from ssdreg.data import Augmentation
from ssdreg.data.splits import DataSpec
from ssdreg.errors import RunError
from ssdreg.runs.params import Params, by_kind, named, read_params, write_params
from ssdreg.runs.run import PREFIX, Run
from ssdreg.training.options import TrainOptions

if TYPE_CHECKING:
    from ssdreg.mx import mx

FILE = "state.json"


@frozen
class Sums:
    """Sums over the steps of the epoch under way: losses and what they were divided by."""

    cls_loss: float = 0.0
    anchors: float = 0.0
    loc_loss: float = 0.0
    positives: float = 0.0

    def plus(self, other: Sums) -> Sums:
        """Add another step's."""
        return Sums(*(a + b for a, b in zip(attrs.astuple(self), attrs.astuple(other))))

    @property
    def mean_cls_loss(self) -> float:
        """Cross-entropy per anchor that counted."""
        return self.cls_loss / self.anchors if self.anchors else math.nan

    @property
    def mean_loc_loss(self) -> float:
        """Smooth L1 per positive anchor."""
        return self.loc_loss / self.positives if self.positives else 0.0


@frozen(kw_only=True)
class State:
    """A moment of training: `step` steps of the epoch after `epoch` finished ones are done."""

    epoch: int = 0
    step: int = 0
    updates: int = 0
    seconds: float = 0.0
    sums: Sums = field(factory=Sums)


@frozen
class Saved:
    """A state read back, with the options and data it belongs to, and what computed it.

    `params` are what has been learnt, `average` is what is deployed in their place, if anything.
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


def save(run: Run, saved: Saved) -> None:
    """Write a state; delete the files of the state before it that are no checkpoint."""
    from ssdreg.mx import mx
    state = saved.state
    # only the end of an epoch is a checkpoint, and before the first one there is none
    between = state.step > 0 or state.epoch == 0
    tag = f"{PREFIX}-{state.epoch:04d}" + (f"-step{state.step:06d}" if between else "")
    params_file, optimizer_file = run.path / f"{tag}.params", run.path / f"{tag}.states"
    write_params(params_file, saved.average or saved.params)
    arrays = dict(saved.optimizer)
    if saved.average is not None:
        arrays.update({_LEARNT + name: array for name, array in named(saved.params).items()})
    with replacing(optimizer_file) as beside:
        # an empty dictionary cannot be saved, and plain SGD has no state
        mx.nd.save(native(beside), arrays or {"none": mx.nd.zeros((1,))})
    write_json(run.path / FILE, {
        "engine": saved.engine,
        "params": params_file.name, "optimizer": optimizer_file.name,
        # attrs and not cattrs, which reads annotations: Python 3.9 cannot evaluate `str | None`
        **{name: attrs.asdict(getattr(saved, name)) for name in ("state", "options", "data")},
        "augmentation": saved.augmentation and attrs.asdict(saved.augmentation)})
    for file in run.path.glob(f"{PREFIX}-*"):
        temporary = "-step" in file.name or file.suffix == ".states"
        if temporary and file not in (params_file, optimizer_file):
            file.unlink()


def load(run: Run) -> Saved:
    """Read where a run stands; raise RunError when it cannot go on."""
    from ssdreg.mx import mx
    with _reading(run) as saved:
        try:
            arrays = mx.nd.load(native(run.path / saved["optimizer"]))
        except mx.MXNetError as error:
            raise ValueError(error) from error
        augmentation = saved["augmentation"]
        params, average = read_params(run.path / saved["params"]), None
        learnt = {name[len(_LEARNT):]: array for name, array in arrays.items()
                  if name.startswith(_LEARNT)}
        if learnt:
            params, average = by_kind(learnt), params
        return Saved(cattrs.structure(saved["state"], State), TrainOptions(**saved["options"]),
                     DataSpec(**saved["data"]),
                     None if augmentation is None else Augmentation(**augmentation), params,
                     {name: array for name, array in arrays.items()
                      if name != "none" and not name.startswith(_LEARNT)},
                     str(saved["engine"]), average)


def load_options(run: Run) -> TrainOptions:
    """Read the recipe of a run; raise RunError when that is not known."""
    with _reading(run) as saved:
        return TrainOptions(**saved["options"])


def load_source(run: Run) -> DataSpec:
    """Read what data a run trains and validates on; raise RunError when that is not known."""
    with _reading(run) as saved:
        return DataSpec(**saved["data"])


@contextmanager
def _reading(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the state as it was written; turn errors in reading it into a RunError."""
    file = run.path / FILE
    if not file.is_file():
        raise RunError(f"{run.path} has no {FILE}: nothing was saved yet, or it was imported, so "
                       f"there is nothing to resume; start anew with another --out")
    try:
        yield json.loads(file.read_text(encoding="utf-8"))
    except RunError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError,
            cattrs.BaseValidationError) as error:
        raise RunError(f"{file} cannot be read, or names a file that is not there: {error}"
                       ) from error


def drop_old(run: Run, keep: int) -> None:
    """Delete parameter files of old epochs, but for the newest `keep` and the best one."""
    kept = {*run.epochs()[-keep:], run.best_epoch()}
    for epoch in run.epochs():
        if epoch not in kept:
            run.params_file(epoch).unlink()
