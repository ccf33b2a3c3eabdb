"""``state.json`` and ``start.json`` of a run, read whole: nothing behind this checks again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional, TypeVar

import attrs
import cattrs
from attrs import field, frozen
from ssdreg_runtime.system.files import write_json

from ssdreg.data import Augmentation
from ssdreg.data.splits import DataSpec
from ssdreg.errors import RunError
from ssdreg.runs.run import PREFIX, Run
from ssdreg.training.options import TrainOptions

#: Where training stands, after the first save; where it begins, before.
STATE, START = "state.json", "start.json"
#: The parameters that a training starts from, where it starts from any.
START_PARAMS = "start.params"

_not_negative: Callable[[Any, Any, Any], Any] = attrs.validators.ge(0)
_NAMES = {".params": re.compile(rf"{PREFIX}-\d{{4,}}(-step\d{{6,}})?\.params|{START_PARAMS}"),
          ".states": re.compile(rf"{PREFIX}-\d{{4,}}(-step\d{{6,}})?\.states")}


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
    """A moment of training: `step` steps of the epoch after `epoch` finished ones are done.

    `updates` are the steps of all epochs. The optimizer began with the first of them, or after
    `optimizer_began`, where its own state was lost. Raises ValueError for what cannot be together.
    """

    epoch: int = field(default=0, validator=_not_negative)
    step: int = field(default=0, validator=_not_negative)
    updates: int = field(default=0, validator=_not_negative)
    seconds: float = field(default=0.0, validator=_not_negative)
    sums: Sums = field(factory=Sums)
    optimizer_began: int = field(default=0, validator=_not_negative)

    def __attrs_post_init__(self) -> None:
        # an epoch has one step or more; how many it has is known when the data are open
        if self.updates < self.epoch + self.step or (
                not self.epoch and self.updates != self.step):
            raise ValueError(f"{self.updates} steps in all cannot be those of {self.epoch} epochs "
                             f"and {self.step} steps")
        if self.optimizer_began > self.updates:
            raise ValueError(f"an optimizer cannot begin after {self.optimizer_began} of "
                             f"{self.updates} steps")


def _is_name(_instance: object, _attribute: object, value: str) -> None:
    pattern = _NAMES.get(Path(value).suffix)
    if pattern is None or not pattern.fullmatch(value):
        raise ValueError(f"{_shortened(value)} is no name of a file of a training")


@frozen
class StoredFile:
    """A file of parameters beside a state: its name, and its SHA-256 in hexadecimal digits."""

    name: str = field(validator=_is_name)
    sha256: str = field(validator=attrs.validators.matches_re(r"[0-9a-f]{64}"))


@frozen(kw_only=True)
class Training:
    """What a training is, whatever it has come to: its engine, its recipe, its data.

    `data_shape` (height, width) is that of the run's plan.
    """

    engine: str
    data_shape: tuple[int, int]
    options: TrainOptions
    data: DataSpec
    # Optional, because Python 3.9 cannot evaluate the other spelling, and cattrs does
    augmentation: Optional[Augmentation]  # noqa: UP045


@frozen(kw_only=True)
class StartFile(Training):
    """``start.json``: a training of which nothing was saved yet, and what it starts from."""

    start: Optional[StoredFile]  # noqa: UP045


@frozen(kw_only=True)
class StateFile(Training):
    """``state.json``: where training stands, and the files that hold it."""

    state: State
    params: StoredFile
    optimizer: StoredFile


Read = TypeVar("Read", StartFile, StateFile)


def write_training(run: Run, training: StartFile | StateFile) -> None:
    """Write where a training begins, or stands; whole or not at all."""
    # attrs and not cattrs, so that what is written does not depend on how it is read
    write_json(run.path / (STATE if isinstance(training, StateFile) else START),
               attrs.asdict(training))


def read_state(run: Run) -> StateFile:
    """Read ``state.json``; raise RunError where it is not there, or anything in it cannot be."""
    return _read(run, STATE, StateFile)


def read_start(run: Run) -> StartFile:
    """Read ``start.json``; raise RunError where it is not there, or anything in it cannot be."""
    return _read(run, START, StartFile)


def read_training(run: Run) -> StartFile | StateFile:
    """Read what a run is trained by: of its state, or of its start where nothing was saved yet."""
    if not (run.path / STATE).is_file() and (run.path / START).is_file():
        return read_start(run)
    return read_state(run)


def _read(run: Run, name: str, kind: type[Read]) -> Read:
    file = run.path / name
    if not file.is_file():
        raise RunError(f"{run.path} has no {name}: nothing was saved yet, or it was imported, so "
                       f"there is nothing to resume; start anew with another --out")
    try:
        content = _CONVERTER.structure(json.loads(file.read_text(encoding="utf-8")), kind)
    except cattrs.BaseValidationError as error:
        raise _refused(run, name, "; ".join(_sentences(error))) from error
    except (ValueError, RecursionError) as error:
        raise _refused(run, name, f"it is no JSON ({error})") from error
    if content.data_shape != run.plan.data_shape:
        raise _refused(run, name, f"it was trained at {_size(content.data_shape)}, and "
                                  f"{run.config_file.name} says {_size(run.plan.data_shape)}")
    return content


def _refused(run: Run, name: str, why: str) -> RunError:
    return RunError(f"{run.path / name} is not what `ssdreg train` wrote: {why}. What was learnt "
                    f"is in the parameter files: `ssdreg train --pretrained {run.path}` with "
                    f"another --out begins from the best of them")


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def _sentences(error: cattrs.BaseValidationError) -> list[str]:
    """Return what is wrong, each with the place in the file: ``state.epoch: ...``."""
    def said(cause: BaseException, _kind: Any) -> str:
        if isinstance(cause, KeyError):
            return f"{cause.args[0]!r} is missing"
        if isinstance(cause, cattrs.ForbiddenExtraKeysError):
            return f"{', '.join(map(repr, sorted(map(str, cause.extra_fields))))} is not known"
        if isinstance(cause, (TypeError, AttributeError)):
            return "this is not of the kind that belongs here"
        # attrs' further arguments are attribute and value
        return str(cause.args[0] if cause.args else cause)

    lines = cattrs.transform_error(error, path="", format_exception=said)
    return [f"{place.lstrip('.')}: {what}" if place else what
            for what, _, place in (line.rpartition(" @ ") for line in lines)]


def _exactly(kind: type, name: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{_shortened(value)} is no {name}")
        return value
    return structure


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{_shortened(value)} is no number")
    return float(value)


def _structured(converter: cattrs.Converter, kind: type[Any]) -> Callable[[Any, Any], Any]:
    """Return what reads a class from JSON's objects only."""
    from cattrs.gen import make_dict_structure_fn
    read: Callable[[Any, Any], Any] = make_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=True)

    def structure(value: Any, annotation: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"{_shortened(value)} is no JSON object")
        return read(value, annotation)
    return structure


def _shortened(value: Any, most: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _converter() -> cattrs.Converter:
    """Return what reads the classes here, and takes no value for another kind of it.

    cattrs and not pydantic, because the values are attrs' frozen classes with their own
    validators, and it is installed.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, name in ((int, "whole number"), (str, "text"), (bool, "true or false")):
        converter.register_structure_hook(kind, _exactly(kind, name))
    converter.register_structure_hook(float, _number)
    for made in (Sums, State, StoredFile, TrainOptions, DataSpec, Augmentation, StartFile,
                 StateFile):
        converter.register_structure_hook(made, _structured(converter, made))
    return converter


_CONVERTER = _converter()
