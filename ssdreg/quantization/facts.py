"""The precision that a model file states among its facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssdreg_runtime.backends.facts import PREFIX

from ssdreg.errors import ModelError

if TYPE_CHECKING:
    import onnx

_PRECISION = "precision"


def set_precision(model: onnx.ModelProto, precision: str) -> None:
    """State this precision in an ONNX model."""
    for entry in model.metadata_props:
        if entry.key == f"{PREFIX}{_PRECISION}":
            entry.value = json.dumps(precision)


def with_precision(facts: Mapping[str, str], precision: str) -> dict[str, str]:
    """Return the facts of a model that differs in its precision."""
    return {**facts, _PRECISION: json.dumps(precision)}


def refuse_unless_float32_model(facts: Mapping[str, str]) -> None:
    """Raise ModelError for the facts of a model that is not float32."""
    precision = json.loads(facts.get(_PRECISION, '"float32"'))
    if precision != "float32":
        raise ModelError(f"the model is {precision} already: quantise the run it was made from")
