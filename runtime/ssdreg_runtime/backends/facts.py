"""What a model file says of itself: class names, input, thresholds, precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ssdreg_runtime.errors import ModelError

#: The newest model file that is understood here; the file's own number is in `ssdreg_format`.
FORMAT = 1

#: In front of every key of an ONNX file's metadata, which others write to as well.
PREFIX = "ssdreg_"

PRECISIONS = ("float32", "float16", "bfloat16", "int8")


@frozen
class ModelFacts:
    """What a detector's file says of itself.

    - `classes`: the names, in the order of the labels
    - `data_shape`: height and width of the network's input in pixels
    - `batch`: images a run takes; None where it takes any number
    - `backbone`, `head`: what the network was built from
    - `threshold`: the least score that is given out; `nms_threshold`, `nms_topk` (-1: all) and
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
    """Read a file's metadata, whose values are JSON and whose keys have lost their prefix.

    `batch` is that of the file's input, `name` what messages call the file. Raises ModelError for
    a file that is not ssdreg's, is of a newer format, or whose metadata are damaged.
    """
    if "format" not in metadata:
        raise ModelError(f"{name} is a model, but no detector of ssdreg: its metadata have no "
                         f"{PREFIX}format; write one with `ssdreg export RUN --format onnx`")
    written, version = _value(metadata, "format", int, name), _value(metadata, "version", str, name)
    if written > FORMAT:
        raise ModelError(f"{name} was written by ssdreg {version} in format {written}, and this "
                         f"ssdreg-runtime reads format {FORMAT}: upgrade it from "
                         f"where you have it")
    values = {key: _value(metadata, key, read, name) for key, read in _READERS.items()}
    return ModelFacts(batch=batch, version=version, **values)


def _value(metadata: Mapping[str, str], key: str, read: Callable[[Any], Any], name: str) -> Any:
    if key not in metadata:
        raise ModelError(f"{name} lacks {PREFIX}{key} in its metadata: export it again")
    try:
        return read(json.loads(metadata[key]))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        value = metadata[key] if len(metadata[key]) < 100 else f"{metadata[key][:100]}..."
        raise ModelError(f"{name} says {PREFIX}{key} = {value!r} in its metadata, which "
                         f"cannot be right: {error}; export it again") from error


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str)
                                                           for each in value):
        raise ValueError("it should be a list of names")
    return tuple(value)


def _shape(value: Any) -> tuple[int, int]:
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


_READERS: dict[str, Callable[[Any], Any]] = {
    "classes": _names, "data_shape": _shape, "backbone": str, "head": str, "threshold": float,
    "nms_threshold": float, "nms_topk": int, "force_suppress": bool, "mean": _channels,
    "std": _channels, "precision": _precision}
