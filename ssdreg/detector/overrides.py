"""What the keywords of a plan may hold, checked as they come in: an error names field and level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from attrs import frozen

from ssdreg.errors import PlanError
from ssdreg.registry.preprocessing import Preprocessing

#: Stands where a level has no such number: a tap is not made by a convolution.
UNUSED = -1


@frozen
class Rule:
    """What a value must be, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


def is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, NumPy's included; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > 0


def _positives(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(map(_positive, value))


#: Rules for a level's entry.
PER_LEVEL: dict[str, Rule] = {
    "num_filters": Rule(is_whole, "a whole number"),
    "strides": Rule(is_whole, "a whole number"),
    "pads": Rule(is_whole, "a whole number"),
    "sizes": Rule(_positives, "positive numbers, at least one"),
    "ratios": Rule(_positives, "positive numbers, at least one"),
    "normalizations": Rule(lambda value: value == UNUSED or _positive(value),
                           f"a positive number, or {UNUSED} for none"),
    "projections": Rule(lambda value: is_whole(value) and (value > 0 or value == UNUSED),
                        f"a positive whole number, or {UNUSED} for none"),
    "steps": Rule(lambda value: _positive(value) or (_positives(value) and len(value) == 2),
                  "a positive number, or two of them (down, across)"),
}

#: Rules for the fields that hold for all levels.
SCALARS: dict[str, Rule] = {
    "variances": Rule(lambda value: _positives(value) and len(value) == 4,
                      "four positive numbers"),
    "nms_threshold": Rule(lambda value: _positive(value) and value <= 1,
                          "a number above 0, at most 1"),
    "nms_topk": Rule(lambda value: is_whole(value) and (value > 0 or value == -1),
                     "a positive whole number, or -1 for all"),
    "force_suppress": Rule(lambda value: isinstance(value, bool), "True or False"),
    # which ones there are is the head's to say
    "loss": Rule(lambda value: isinstance(value, str), "the name of a loss"),
    "preprocessing": Rule(lambda value: isinstance(value, Preprocessing),
                          "a ssdreg.Preprocessing"),
}

NAMES = ("tap_strides", "from_layers", *PER_LEVEL, *SCALARS)


def check_names(overrides: Mapping[str, Any]) -> None:
    """Raise PlanError for a keyword that is no field of the plan."""
    unknown = sorted(set(overrides) - set(NAMES))
    if unknown:
        raise PlanError(f"{', '.join(unknown)} cannot be overridden: "
                        f"the fields are {', '.join(NAMES)}")


def listed(name: str, value: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple; raise PlanError for a text or anything else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise PlanError(f"{name}={value!r} must be a list or tuple")
    return tuple(value)


def per_level(name: str, value: Any, count: int) -> tuple[Any, ...]:
    """Check that a field has an entry that its rule allows for each level, and freeze it."""
    entries = tuple(_frozen(entry) for entry in listed(name, value))
    if len(entries) != count and not (name == "steps" and not entries):
        raise PlanError(f"{name} has {len(entries)} entries, but there are {count} levels "
                        f"(0 to {count - 1}); give from_layers too to change their number")
    rule = PER_LEVEL[name]
    for level, entry in enumerate(entries):
        if not rule.holds(entry):
            raise PlanError(f"level {level}: {name} must hold {rule.words}, not {entry!r}")
    return entries


def scalar(name: str, value: Any) -> Any:
    """Check a field that holds for all levels, and freeze it."""
    value, rule = _frozen(value), SCALARS[name]
    if not rule.holds(value):
        raise PlanError(f"{name} must be {rule.words}, not {value!r}")
    return value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
