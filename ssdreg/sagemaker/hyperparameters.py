"""The hyperparameters of SageMaker's built-in object detection, each with what becomes of it.

Names, defaults and meanings are those of its documentation. `TABLE` is what is read, what
messages say, and what the documentation shows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from ssdreg.errors import SsdregError
from ssdreg.registry.suggestions import close

OBEYED, MAPPED, UNUSED = "obeyed", "mapped", "not needed"
REQUIRED = "required"

#: What SageMaker itself puts among the hyperparameters; it says nothing about a training.
_SAGEMAKERS = re.compile(r"sagemaker_.*|_tuning_objective_metric")

Reader = Callable[[str], Any]


class _RefusedError(ValueError):
    """A value that is understood and cannot be had; the message is a sentence."""


@frozen
class Hyperparameter:
    """One hyperparameter.

    - `default`: the text that stands for it where it is not given; `REQUIRED` for none
    - `values`: what it may be, in words; `read` turns a text into that, or raises ValueError, and
      `_RefusedError` with a sentence where a value is refused for a reason of its own
    - `becomes`: `OBEYED`, `MAPPED` (something else is done in its place) or `UNUSED`
    - `sentence`: what is done, or why nothing needs to be done
    - `mapped`: the values that are mapped where the others are obeyed, with a sentence each
    """

    name: str
    default: str
    values: str
    read: Reader = field(repr=False)
    becomes: str
    sentence: str
    mapped: Mapping[Any, str] = field(factory=dict, repr=False)


def _count(least: int) -> Reader:
    def read(text: str) -> int:
        number = float(text)
        if not math.isfinite(number) or number != int(number) or number < least:
            raise ValueError
        return int(number)
    return read


def _number(above: float, most: float, *, zero: bool = False) -> Reader:
    def read(text: str) -> float:
        number = float(text)
        if not (above < number <= most or (zero and number == above)):
            raise ValueError
        return number
    return read


def _choice(*choices: str) -> Reader:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text
    return read


def _flag(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _epochs(text: str) -> tuple[int, ...]:
    one = _count(1)
    return tuple(sorted(one(part) for part in text.split(",") if part.strip()))


def _pattern(text: str) -> str | None:
    # the service's own pages show "false" for none
    if text.lower() in ("", "false", "none"):
        return None
    try:
        re.compile(text)
    except re.error as error:
        raise _RefusedError(f"it is no regular expression: {error}") from error
    return text


def _overlap(text: str) -> float:
    number = _number(0, 1)(text)
    if number != 0.5:
        raise _RefusedError("validation measures mAP at an overlap of 0.5: leave it out, and "
                            "look at COCO's figures for others")
    return float(number)


def _optimizer(text: str) -> str:
    if text == "adadelta":
        raise _RefusedError("it has no learning rate in the sense of the others, and is not "
                            "there: choose sgd or adam")
    return str(_choice("sgd", "adam", "rmsprop")(text))


TABLE: tuple[Hyperparameter, ...] = (
    Hyperparameter("num_classes", REQUIRED, "a whole number from 1", _count(1), OBEYED,
                   "the network tells so many classes apart; class numbers count from 0"),
    Hyperparameter("num_training_samples", REQUIRED, "a whole number from 1", _count(1), MAPPED,
                   "images are counted; where it differs from their number, that is said"),
    Hyperparameter("base_network", "vgg-16", "vgg-16, resnet-50, or a name of `ssdreg list`", str,
                   OBEYED, "vgg-16 is vgg16_reduced here, resnet-50 is resnet50; any backbone "
                           "that is installed may stand here"),
    Hyperparameter("use_pretrained_model", "1", "0 or 1", _flag, MAPPED,
                   "1 starts from the backbone's weights where they are on the disk, and else "
                   "from nothing, which is said; nothing is fetched"),
    Hyperparameter("epochs", "30", "a whole number from 1", _count(1), OBEYED,
                   "passes over the training images"),
    Hyperparameter("mini_batch_size", "32", "a whole number from 1", _count(1), OBEYED,
                   "images a step, all devices together"),
    Hyperparameter("learning_rate", "0.001", "above 0, at most 1", _number(0, 1), OBEYED,
                   "the rate at the beginning, after a rise over 50 steps"),
    Hyperparameter("lr_scheduler_step", "", "epochs, as 10, 20", _epochs, OBEYED,
                   "the rate is multiplied by lr_scheduler_factor after each of these epochs; "
                   "without any it stays"),
    Hyperparameter("lr_scheduler_factor", "0.1", "above 0, at most 1", _number(0, 1), OBEYED,
                   "what lr_scheduler_step multiplies the rate by"),
    Hyperparameter("optimizer", "sgd", "sgd, adam or rmsprop; adadelta is refused", _optimizer,
                   OBEYED, "how parameters are updated; rmsprop becomes adam",
                   {"rmsprop": "adam takes its place, which is RMSProp with a running mean of the "
                               "gradient"}),
    Hyperparameter("momentum", "0.9", "0 to 1", _number(0, 1, zero=True), OBEYED,
                   "of sgd; other optimizers do not look at it"),
    Hyperparameter("weight_decay", "0.0005", "0 to 1", _number(0, 1, zero=True), OBEYED,
                   "of sgd and rmsprop; adam has none"),
    Hyperparameter("image_shape", "300", "a whole number from 32", _count(32), OBEYED,
                   "the side of the network's input in pixels; the built-in algorithm takes no "
                   "side below 300"),
    Hyperparameter("label_width", "350", "a whole number from 1", _count(1), UNUSED,
                   "labels are as wide as the data need, and none is cut off"),
    Hyperparameter("overlap_threshold", "0.5", "0.5; others are refused", _overlap, OBEYED,
                   "the overlap from which on validation counts a box as found"),
    Hyperparameter("nms_threshold", "0.45", "above 0, at most 1", _number(0, 1), OBEYED,
                   "the overlap from which on the lesser of two boxes of a class is dropped"),
    Hyperparameter("freeze_layer_pattern", "", "a regular expression", _pattern, OBEYED,
                   "parameters whose names it matches from the start do not learn"),
    Hyperparameter("early_stopping", "False", "True or False", _flag, OBEYED,
                   "training ends where the mAP of validation gets no better"),
    Hyperparameter("early_stopping_min_epochs", "10", "a whole number from 1", _count(1), OBEYED,
                   "no end before so many epochs"),
    Hyperparameter("early_stopping_patience", "5", "a whole number from 1", _count(1), OBEYED,
                   "epochs without improvement before the end"),
    Hyperparameter("early_stopping_tolerance", "0.0", "0 to 1", _number(0, 1, zero=True), OBEYED,
                   "the share of the best mAP that an improvement must be above"),
    Hyperparameter("kv_store", "", "dist_sync or dist_async",
                   _choice("", "dist_sync", "dist_async"), UNUSED,
                   "it is about several machines, and one trains: a job of several is refused"),
    Hyperparameter("checkpoint_frequency", "1", "a whole number from 1", _count(1), MAPPED,
                   "of the built-in image classification, taken here too: every epoch is saved"),
)

NAMES: Mapping[str, Hyperparameter] = MappingProxyType({each.name: each for each in TABLE})


@frozen(kw_only=True)
class Settings:
    """The hyperparameters of a job, read; fields are those of `TABLE`, and `notes` what is said."""

    num_classes: int
    num_training_samples: int
    base_network: str
    use_pretrained_model: bool
    epochs: int
    mini_batch_size: int
    learning_rate: float
    lr_scheduler_step: tuple[int, ...]
    lr_scheduler_factor: float
    optimizer: str
    momentum: float
    weight_decay: float
    image_shape: int
    label_width: int
    overlap_threshold: float
    nms_threshold: float
    freeze_layer_pattern: str | None
    early_stopping: bool
    early_stopping_min_epochs: int
    early_stopping_patience: int
    early_stopping_tolerance: float
    kv_store: str
    checkpoint_frequency: int
    notes: tuple[str, ...] = ()


def read_settings(given: Mapping[str, str]) -> Settings:
    """Read the hyperparameters of a job.

    Raises SsdregError, a sentence, for a name that is not known, one that is missing, and a value
    that it may not have.
    """
    texts = {name: _plain(text) for name, text in given.items() if not _SAGEMAKERS.fullmatch(name)}
    for name in texts:
        if name not in NAMES:
            alike = close(name, tuple(NAMES))
            raise SsdregError(f"the hyperparameter {name} is not known"
                              f"{f': is {alike[0]} meant?' if alike else ''} The built-in object "
                              f"detection has {', '.join(NAMES)}")
    values = {each.name: _read(each, texts.get(each.name, each.default)) for each in TABLE}
    notes = tuple(note for each in TABLE if each.name in texts
                  for note in _notes(each, values[each.name]))
    return Settings(**values, notes=notes)


def written(given: Mapping[str, str]) -> dict[str, str]:
    """Return all hyperparameters as text, those that were not given with their defaults."""
    return {each.name: _plain(given.get(each.name, each.default)) for each in TABLE}


def _plain(text: str) -> str:
    """Return a value without the quotes that clients write around texts as JSON."""
    stripped = text.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] == '"':
        try:
            return str(json.loads(stripped)).strip()
        except ValueError:
            return stripped
    return stripped


def _read(parameter: Hyperparameter, text: str) -> Any:
    if text == REQUIRED and parameter.default == REQUIRED:
        raise SsdregError(f"the hyperparameter {parameter.name} is missing: it must be "
                          f"{parameter.values}")
    try:
        return parameter.read(text)
    except (ValueError, OverflowError) as error:
        own = f": {error}" if isinstance(error, _RefusedError) else ""
        raise SsdregError(f"the hyperparameter {parameter.name} is {text!r}, and must be "
                          f"{parameter.values}{own}") from error


def _notes(parameter: Hyperparameter, value: Any) -> Iterator[str]:
    if parameter.becomes != OBEYED:
        yield f"{parameter.name}: {parameter.sentence}"
    elif value in parameter.mapped:
        yield f"{parameter.name} {value}: {parameter.mapped[value]}"
