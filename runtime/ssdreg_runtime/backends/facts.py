"""The metadata of a model file: class names, input, thresholds, precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from attrs import frozen

from ssdreg_runtime.errors import ModelError

#: The newest format that is read here; a file's own is under the key `ssdreg_format`.
FORMAT = 1

#: Prefix of ssdreg's keys in an ONNX file's metadata, which other tools write to as well.
PREFIX = "ssdreg_"

PRECISIONS = ("float32", "float16", "bfloat16", "int8")


@frozen
class ModelFacts:
    """The metadata of a detector's file.

    - `classes`: the names, in the order of the labels
    - `data_shape`: height and width of the network's input in pixels
    - `batch`: images per run; None for any number
    - `backbone`, `head`: what the network was built from
    - `threshold`: the least score of a detection; `nms_threshold`, `nms_topk` (-1: all) and
      `force_suppress` (across classes): how overlapping boxes are suppressed
    - `mean`, `std`: the normalisation of red, green and blue that the file does itself
    - `precision`: one of `PRECISIONS`
    - `version`: the ssdreg that wrote it
    """

    classes: tuple[str, ...]
    data_shape: tuple[int, int]
    batch: int | None
    backbone: str
    head: str
    threshold: float
    nms_threshold: float
    nms_topk: int
    force_suppress: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str
    version: str


def read_facts(metadata: Mapping[str, str], batch: int | None, name: str) -> ModelFacts:
    """Parse a file's metadata: JSON values by key, the keys without `PREFIX`.

    `batch` is that of the file's input, `name` the file's name in messages. Raises ModelError for
    a file that is not ssdreg's, is of a newer format, or whose metadata are damaged.
    """
    if "format" not in metadata:
        raise ModelError(f"{name} is a model, but no detector of ssdreg: its metadata have no "
                         f"{PREFIX}format; write one with `ssdreg export RUN --format onnx`")
    file_format = _value(metadata, "format", _whole, name)
    version = _value(metadata, "version", _text, name)
    if file_format > FORMAT:
        raise ModelError(f"{name} was written by ssdreg {version} in format {file_format}, and "
                         f"this ssdreg-runtime reads format {FORMAT}: upgrade it from "
                         f"where you have it")
    values = {key: _value(metadata, key, parse, name) for key, parse in _PARSERS.items()}
    return ModelFacts(batch=batch, version=version, **values)


def _value(metadata: Mapping[str, str], key: str, parse: Callable[[Any], Any], name: str) -> Any:
    if key not in metadata:
        raise ModelError(f"{name} lacks {PREFIX}{key} in its metadata: export it again")
    try:
        return parse(json.loads(metadata[key]))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        value = metadata[key] if len(metadata[key]) < 100 else f"{metadata[key][:100]}..."
        raise ModelError(f"{name} says {PREFIX}{key} = {value!r} in its metadata, which "
                         f"cannot be right: {error}; export it again") from error


def _class_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str)
                                                           for name in value):
        raise ValueError("it should be a list of names")
    if len(set(value)) != len(value):
        raise ValueError("it should be a list of names, each of which stands once")
    return tuple(value)


def _data_shape(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_whole, value)):
        raise ValueError("it should be height and width in pixels")
    height, width = value
    if min(height, width) < 1:
        raise ValueError("it should be height and width in pixels")
    return height, width


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    if not _is_whole(value):
        raise ValueError("it should be a whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError("it should be a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it should be a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it should be true or false")
    return value


def _channels(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("it should be three numbers, for red, green and blue")
    return tuple(map(_number, value))


def _deviations(value: Any) -> tuple[float, ...]:
    channels = _channels(value)
    if min(channels) <= 0:
        raise ValueError("it should be three numbers above 0")
    return channels


def _precision(value: Any) -> str:
    if value not in PRECISIONS:
        raise ValueError(f"it should be one of {', '.join(PRECISIONS)}")
    return str(value)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "classes": _class_names, "data_shape": _data_shape, "backbone": _text, "head": _text,
    "threshold": _number, "nms_threshold": _number, "nms_topk": _whole, "force_suppress": _flag,
    "mean": _channels, "std": _deviations, "precision": _precision}
