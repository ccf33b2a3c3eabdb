"""What the fields of a plan may hold, and those that are given instead of being derived.

An error names the field, and the level where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Union

from attrs import field, frozen

from ssdreg.errors import PlanError
from ssdreg.registry.preprocessing import Preprocessing

#: The entry of a level without such a number: a tap is not made by a convolution.
UNUSED = -1
#: What a plan holds where nobody says otherwise: variances as Liu et al., SSD, 2016 have them.
VARIANCES = (0.1, 0.1, 0.2, 0.2)
NMS_THRESHOLD, NMS_TOPK = 0.5, 400

#: Pixels of a side of a network's input: what is larger is damage, and takes all memory there is.
LARGEST_SIDE = 16_384

#: A share of both sides of the image, or one of its height and one of its width.
Step = Union[float, tuple[float, float]]


@frozen
class Rule:
    """What a value must be, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


def is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, NumPy's included; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number that no float can hold
        return False


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _positives(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(map(_positive, value))


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


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

#: Rules for the fields that hold for all levels, and may be given.
SCALARS: dict[str, Rule] = {
    "variances": Rule(lambda value: _positives(value) and len(value) == 4,
                      "four positive numbers"),
    "nms_threshold": Rule(lambda value: _positive(value) and value <= 1,
                          "a number above 0, at most 1"),
    "nms_topk": Rule(lambda value: is_whole(value) and (value > 0 or value == -1),
                     "a positive whole number, or -1 for all"),
    "force_suppress": Rule(lambda value: isinstance(value, bool), "True or False"),
    # the head knows which losses there are
    "loss": Rule(lambda value: isinstance(value, str), "the name of a loss"),
    "box_loss": Rule(lambda value: isinstance(value, str), "the name of a loss of boxes"),
    "preprocessing": Rule(lambda value: isinstance(value, Preprocessing),
                          "a ssdreg.Preprocessing"),
}

#: The same for the network of a checkpoint: MXNet takes any numbers, and its symbol has them.
OWN: dict[str, Rule] = {
    "variances": Rule(lambda value: isinstance(value, tuple) and len(value) == 4
                      and all(map(_number, value)), "four numbers"),
    "nms_threshold": Rule(_number, "a number"),
    "nms_topk": Rule(is_whole, "a whole number"),
}

#: Rules for what a detector is made of, besides.
NAMES: dict[str, Rule] = {
    "backbone": Rule(_text, "the name of a backbone"),
    "head": Rule(_text, "the name of a head"),
}


def frozen_value(value: Any) -> Any:
    """Return a sequence, and those in it, as tuples, and anything else as it is."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(map(frozen_value, value))
    return value


@frozen(kw_only=True)
class Overrides:
    """What of a plan is given, with the names and meanings that `ssdreg.plan` has for it.

    What is None is derived.
    """

    tap_strides: Sequence[int] | None = field(default=None, converter=frozen_value)
    from_layers: Sequence[str] | None = field(default=None, converter=frozen_value)
    num_filters: Sequence[int] | None = field(default=None, converter=frozen_value)
    strides: Sequence[int] | None = field(default=None, converter=frozen_value)
    pads: Sequence[int] | None = field(default=None, converter=frozen_value)
    sizes: str | Sequence[Sequence[float]] | None = field(default=None, converter=frozen_value)
    ratios: Sequence[Sequence[float]] | None = field(default=None, converter=frozen_value)
    normalizations: Sequence[float] | None = field(default=None, converter=frozen_value)
    projections: Sequence[int] | None = field(default=None, converter=frozen_value)
    steps: Sequence[Step] | None = field(default=None, converter=frozen_value)
    variances: Sequence[float] = field(default=VARIANCES, converter=frozen_value)
    nms_threshold: float = NMS_THRESHOLD
    nms_topk: int = NMS_TOPK
    force_suppress: bool = False
    loss: str | None = None
    box_loss: str | None = None
    preprocessing: Preprocessing | None = None

    def per_level(self) -> dict[str, Any]:
        """Return the fields with an entry per level that are given."""
        return {name: getattr(self, name) for name in PER_LEVEL
                if getattr(self, name) is not None}


#: Nothing is given.
DERIVED = Overrides()


def check_classes(num_classes: Any) -> None:
    """Raise PlanError for what is no number of classes."""
    if not is_whole(num_classes) or num_classes < 1:
        raise PlanError(f"num_classes={num_classes!r}: at least one class is needed "
                        f"(the background is not counted)")


def as_shape(data_shape: Any) -> tuple[int, int]:
    """Return (height, width), of which a number is both; raise PlanError for anything else."""
    sides = tuple(data_shape) if isinstance(data_shape, Iterable) else (data_shape, data_shape)
    if len(sides) != 2 or any(not is_whole(side) or side < 1 for side in sides):
        raise PlanError(f"data_shape={data_shape!r} is neither a side in pixels "
                        f"nor (height, width)")
    if max(sides) > LARGEST_SIDE:
        raise PlanError(f"data_shape={data_shape!r} is larger than any input: a side has at most "
                        f"{LARGEST_SIDE:,} pixels")
    return int(sides[0]), int(sides[1])


def listed(name: str, value: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple; raise PlanError for a text or anything else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise PlanError(f"{name}={value!r} must be a list or tuple")
    return tuple(map(frozen_value, value))


def check_layers(layers: tuple[Any, ...]) -> None:
    """Check that layers are the names of nodes, and empty ones behind them."""
    for level, layer in enumerate(layers):
        if not isinstance(layer, str):
            raise PlanError(f"level {level}: from_layers must hold the name of a node, or \"\" for "
                            f"a level made behind it, not {layer!r}")
    taps = tuple(layer for layer in layers if layer)
    if not taps or taps != layers[:len(taps)]:
        raise PlanError(f"from_layers={layers!r} must name backbone nodes first and "
                        f'then "" for each level made behind them')


def check_per_level(name: str, entries: tuple[Any, ...], count: int) -> None:
    """Check that a field has an entry that its rule allows for each level."""
    if len(entries) != count and not (name == "steps" and not entries):
        raise PlanError(f"{name} has {len(entries)} entries, but there are {count} levels "
                        f"(0 to {count - 1}); give from_layers too to change their number")
    rule = PER_LEVEL[name]
    for level, entry in enumerate(entries):
        if not rule.holds(entry):
            raise PlanError(f"level {level}: {name} must hold {rule.words}, not {entry!r}")


def check(name: str, value: Any, rule: Rule) -> None:
    """Check a field that holds for all levels."""
    if not rule.holds(value):
        raise PlanError(f"{name} must be {rule.words}, not {value!r}")
