"""The metadata of a model file: class names, input, thresholds, precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    file_format = _value(metadata, "format", int, name)
    version = _value(metadata, "version", str, name)
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
    return tuple(value)


def _data_shape(value: Any) -> tuple[int, int]:
    height, width = map(int, value)
    if min(height, width) < 1:
        raise ValueError("it should be height and width in pixels")
    return height, width


def _channels(value: Any) -> tuple[float, ...]:
    red, green, blue = map(float, value)
    return red, green, blue


def _precision(value: Any) -> str:
    if value not in PRECISIONS:
        raise ValueError(f"it should be one of {', '.join(PRECISIONS)}")
    return str(value)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "classes": _class_names, "data_shape": _data_shape, "backbone": str, "head": str,
    "threshold": float, "nms_threshold": float, "nms_topk": int, "force_suppress": bool,
    "mean": _channels, "std": _channels, "precision": _precision}
