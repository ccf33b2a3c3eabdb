"""Every number of a detector: the plan, which refuses numbers that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from ssdreg.detector import overrides as rules
from ssdreg.detector.overrides import UNUSED, Step
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import PlanError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    Field = attrs.Attribute[Any]

#: The head of a plan whose network is a checkpoint's own, and none that ssdreg builds.
OWN_HEAD = "checkpoint"


@frozen
class Level:
    """One feature level: its backbone node (``""``: made behind one), size in cells, anchors."""

    node: str
    channels: int
    height: int
    width: int
    anchors_per_cell: int

    @property
    def anchors(self) -> int:
        """How many anchors the level has."""
        return self.height * self.width * self.anchors_per_cell


def _entries(name: str, **default: Any) -> Any:
    """Declare a field with an entry per level."""
    return field(converter=partial(rules.listed, name), validator=_hold_for_each_level, **default)


def _hold_for_each_level(entries: Entries, attribute: Field, value: tuple[Any, ...]) -> None:
    # a plan without projections is older than these, or a checkpoint's own
    if value or attribute.name != "projections":
        rules.check_per_level(attribute.name, value, len(entries.from_layers))


def _follows(rule: rules.Rule) -> Any:
    """Return a validator that a field of all levels follows a rule."""
    def check(_plan: Any, attribute: Field, value: Any) -> None:
        rules.check(attribute.name, value, rule)
    return check


@frozen(kw_only=True)
class Entries:
    """What a plan says of each level, the finest first: see :class:`Plan`."""

    from_layers: tuple[str, ...] = field(
        converter=lambda value: rules.listed("from_layers", value))
    num_filters: tuple[int, ...] = _entries("num_filters")
    strides: tuple[int, ...] = _entries("strides")
    pads: tuple[int, ...] = _entries("pads")
    sizes: tuple[tuple[float, ...], ...] = _entries("sizes")
    ratios: tuple[tuple[float, ...], ...] = _entries("ratios")
    normalizations: tuple[float, ...] = _entries("normalizations")
    steps: tuple[Step, ...] = _entries("steps")
    projections: tuple[int, ...] = _entries("projections", default=())

    @from_layers.validator
    def _taps_come_first(self, _attribute: Field, value: tuple[Any, ...]) -> None:
        rules.check_layers(value)

    @property
    def taps(self) -> tuple[str, ...]:
        """The backbone nodes that feed detection."""
        return tuple(layer for layer in self.from_layers if layer)

    def projection(self, level: int) -> int:
        """Return the channels of a level's projection, -1 where it has none."""
        return self.projections[level] if self.projections else UNUSED

    def anchors_per_cell(self, level: int) -> int:
        """Return how many anchors each cell of a level has."""
        return len(self.sizes[level]) + len(self.ratios[level]) - 1

    def check_tap(self, level: int, channels: int) -> None:
        """Refuse what a level that is a tap with so many channels cannot have."""
        stride, pad, filters = self.strides[level], self.pads[level], self.num_filters[level]
        if (stride, pad) != (UNUSED, UNUSED) or filters not in (UNUSED, channels):
            raise PlanError(
                f"level {level} is the backbone's {self.from_layers[level]!r}: its entries in "
                f"strides and pads must be {UNUSED}, not {stride} and {pad}, and in num_filters "
                f"{UNUSED} or its channels ({channels}), not {filters}")
        if self.projection(level) != UNUSED and self.normalizations[level] != UNUSED:
            raise PlanError(f"level {level} has an L2 scale in normalizations and channels in "
                            f"projections: one of them must be {UNUSED}")

    def check_made(self, level: int) -> None:
        """Refuse what a level that is made by a convolution cannot have."""
        stride, pad, channels = self.strides[level], self.pads[level], self.num_filters[level]
        if self.projection(level) != UNUSED:
            raise PlanError(f"level {level} is made by a convolution: its entry in projections "
                            f"must be {UNUSED}, not {self.projections[level]}")
        if stride < 1 or pad < 0 or channels < 1:
            raise PlanError(f"level {level} is made by a convolution: its stride ({stride}) "
                            f"and channels ({channels}) must be positive, its pad ({pad}) "
                            f"not negative")

    def size_behind(self, before: tuple[int, int], level: int) -> tuple[int, int]:
        """Return a made level's (height, width) in cells, from those of the level before it."""
        return after(before, self.strides[level], self.pads[level])


def after(size: tuple[int, int], stride: int, pad: int) -> tuple[int, int]:
    """Return the map's size behind a 3x3 convolution."""
    return (size[0] + 2 * pad - 3) // stride + 1, (size[1] + 2 * pad - 3) // stride + 1


def _in_order(_plan: type, fields: list[Field]) -> list[Field]:
    """Put the fields of the whole detector before those of levels, as files and tables do."""
    places = {"backbone": 0, "head": 0, "num_classes": 0, "data_shape": 0,
              **{entry.name: 1 for entry in attrs.fields(Entries)}, "levels": 2, "projections": 3}
    return sorted(fields, key=lambda plan_field: places.get(plan_field.name, 4))


@frozen(kw_only=True, field_transformer=_in_order)
class Plan(Entries):
    """Every number a detector is made of. The tuples have an entry per level, the finest first.

    - `from_layers`: backbone nodes; ``""`` is a level made behind the one before it.
    - `num_filters`, `strides`, `pads`: of the convolution that makes a level; -1 where it is a
      tap. A tap with L2 normalisation has its channels in `num_filters`.
    - `sizes`, `ratios`: of the anchors, as shares of the image's height, and width / height.
    - `normalizations`: initial L2 scale, -1 where there is none.
    - `projections`: channels of the 1x1 convolution that the head puts between a tap and its
      predictors (SSD's with batch normalisation and ReLU behind it), -1 where there is none.
    - `steps`: distance of anchor centres as a share of the image's sides, or as two, of height
      and width; empty: one cell.
    - `variances`, `nms_threshold`, `nms_topk`, `force_suppress`: of encoding and post-processing.
    - `loss`: of classification, one of the head's; SSD's are ``softmax`` with hard negative mining
      and ``focal``.
    - `box_loss`: of boxes, one of the head's; SSD's are ``smooth_l1``, the paper's, and ``giou``.
    - `preprocessing`: what is done to pixels before ``data``.

    Raises PlanError, which names the field and the level, for numbers that cannot be, or that
    contradict each other.
    """

    backbone: str = field(validator=_follows(rules.NAMES["backbone"]))
    head: str = field(validator=_follows(rules.NAMES["head"]))
    num_classes: int = field()
    data_shape: tuple[int, int] = field(converter=rules.as_shape)
    levels: tuple[Level, ...] = field(converter=lambda value: rules.listed("levels", value))
    variances: tuple[float, float, float, float] = field(
        default=rules.VARIANCES, converter=rules.frozen_value)
    nms_threshold: float = rules.NMS_THRESHOLD
    nms_topk: int = rules.NMS_TOPK
    force_suppress: bool = field(
        default=False, validator=_follows(rules.SCALARS["force_suppress"]))
    loss: str = field(default="softmax", validator=_follows(rules.SCALARS["loss"]))
    box_loss: str = field(default="smooth_l1", validator=_follows(rules.SCALARS["box_loss"]))
    preprocessing: Preprocessing = field(
        factory=Preprocessing, validator=_follows(rules.SCALARS["preprocessing"]))

    @num_classes.validator
    def _there_are_classes(self, _attribute: Field, value: Any) -> None:
        rules.check_classes(value)

    def __attrs_post_init__(self) -> None:
        # a checkpoint's post-processing is that of its symbol, with any numbers
        for name in ("variances", "nms_threshold", "nms_topk"):
            rules.check(name, getattr(self, name),
                        (rules.OWN if self.head == OWN_HEAD else rules.SCALARS)[name])
        self._check_levels()
        if self.head != OWN_HEAD:
            for level in range(len(self.levels)):
                self._check_measures(level)

    def _check_levels(self) -> None:
        if len(self.levels) != len(self.from_layers):
            raise PlanError(f"levels has {len(self.levels)} entries, but from_layers has "
                            f"{len(self.from_layers)}")
        for index, (level, layer) in enumerate(zip(self.levels, self.from_layers)):
            if not isinstance(level, Level):
                raise PlanError(f"level {index}: levels must hold a ssdreg.Level, not {level!r}")
            if level.node != layer:
                raise PlanError(f"level {index} is {layer!r} in from_layers and {level.node!r} in "
                                f"levels")
            for name in ("channels", "height", "width", "anchors_per_cell"):
                number = getattr(level, name)
                if not rules.is_whole(number) or number < 1:
                    raise PlanError(f"level {index}: {name} must be a positive whole number, not "
                                    f"{number!r}")

    def _check_measures(self, index: int) -> None:
        """Check that a level's numbers are those that follow from the plan's others."""
        level, projection = self.levels[index], self.projection(index)
        channels = self.num_filters[index] if projection == UNUSED else projection
        if level.node:
            # how many channels the tap of a projection has is not known here
            self.check_tap(index, level.channels if projection == UNUSED
                           else self.num_filters[index])
            channels = level.channels if projection == UNUSED else projection
        else:
            self.check_made(index)
            before = self.levels[index - 1]
            size = self.size_behind((before.height, before.width), index)
            if (level.height, level.width) != size:
                raise PlanError(f"level {index} has {level.height}x{level.width} cells, but what "
                                f"makes it has {size[0]}x{size[1]}")
        if level.channels != channels:
            raise PlanError(f"level {index} has {level.channels} channels, but what makes it has "
                            f"{channels}")
        if level.anchors_per_cell != self.anchors_per_cell(index):
            raise PlanError(f"level {index} has {level.anchors_per_cell} anchors a cell, but its "
                            f"sizes and ratios make {self.anchors_per_cell(index)}")

    @property
    def anchors(self) -> int:
        """How many anchors all levels have together."""
        return sum(level.anchors for level in self.levels)

    @property
    def post_processing(self) -> PostProcessing:
        """What is done to predictions; a plan does not state the rest of it."""
        return PostProcessing(variances=self.variances, nms_threshold=self.nms_threshold,
                              nms_topk=self.nms_topk, force_suppress=self.force_suppress)

    def with_sizes(self, sizes: Sequence[Sequence[float]]) -> Plan:
        """Return the same plan with anchors of other sizes, a sequence of them per level."""
        frozen_sizes = rules.frozen_value(sizes)
        return attrs.evolve(self, sizes=frozen_sizes, levels=tuple(
            attrs.evolve(level, anchors_per_cell=len(here) + len(ratios) - 1)
            for level, here, ratios in zip(self.levels, frozen_sizes, self.ratios)))
