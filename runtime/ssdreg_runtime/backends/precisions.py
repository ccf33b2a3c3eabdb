"""The precision a model is computed in, from the requested one and its file's."""

from __future__ import annotations

from ssdreg_runtime.backends.facts import PRECISIONS, ModelFacts
from ssdreg_runtime.errors import ModelError

AUTO = "auto"

#: Quantised layers in int8, all others in bfloat16.
MIXED = "int8+bfloat16"

NO_BFLOAT16 = ("this processor has no bfloat16 (AVX-512 BF16 or AMX), which would make it slower: "
               "use the precision float32")


def resolve_precision(requested: str, facts: ModelFacts, name: str) -> str:
    """Return the precision to compute in: one of `PRECISIONS`, or `MIXED`.

    `requested` is `AUTO` or one of `PRECISIONS`. Raises ModelError when the file called `name`
    cannot be computed in it.
    """
    if requested not in (AUTO, *PRECISIONS):
        raise ModelError(f"there is no precision {requested!r}: choose one of "
                         f"{', '.join((AUTO, *PRECISIONS))}")
    stored = facts.precision
    if requested in (AUTO, stored):
        return stored
    if requested == "bfloat16":
        return MIXED if stored == "int8" else requested
    if requested == "float32" and stored != "int8":
        return requested
    remedy = {"int8": "make one with `ssdreg quantize RUN --data DIR`",
              "float16": "make one with `ssdreg export RUN --precision float16`",
              "float32": "export the run that it was quantised from"}[requested]
    raise ModelError(f"{name} holds {stored} and cannot be computed in {requested}: {remedy}")
