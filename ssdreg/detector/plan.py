"""From a backbone's declaration and an input shape to every number of a detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Union

import attrs
from attrs import field, frozen

from ssdreg.detector import anchor_schemes as anchors
from ssdreg.detector import overrides as rules
from ssdreg.detector.overrides import UNUSED
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import InputShapeError, PlanError
from ssdreg.graph.finding import complete
from ssdreg.graph.symbol import Graph, read_graph
from ssdreg.registry.backbone import Backbone, Extra
from ssdreg.registry.head import Head, PlanDefaults
from ssdreg.registry.host import get_backbone, get_head
from ssdreg.registry.preprocessing import Preprocessing

#: Output channels of the extra levels, by level, as in MXNet's example; the last level goes on.
EXTRA_CHANNELS = {2: 512, 3: 256, 4: 256, 5: 128}

#: The head of a plan whose network is a checkpoint's own, and none that ssdreg builds.
OWN_HEAD = "checkpoint"


#: A share of both sides of the image, or one of its height and one of its width.
Step = Union[float, tuple[float, float]]


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


@frozen(kw_only=True)
class Plan:
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
    - `preprocessing`: what is done to pixels before ``data``.
    """

    backbone: str
    head: str
    num_classes: int
    data_shape: tuple[int, int]
    from_layers: tuple[str, ...]
    num_filters: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[tuple[float, ...], ...]
    normalizations: tuple[float, ...]
    steps: tuple[Step, ...]
    levels: tuple[Level, ...]
    projections: tuple[int, ...] = ()
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    nms_threshold: float = 0.5
    nms_topk: int = 400
    force_suppress: bool = False
    loss: str = "softmax"
    preprocessing: Preprocessing = field(factory=Preprocessing)

    @property
    def taps(self) -> tuple[str, ...]:
        """The backbone nodes that feed detection."""
        return tuple(layer for layer in self.from_layers if layer)

    @property
    def anchors(self) -> int:
        """How many anchors all levels have together."""
        return sum(level.anchors for level in self.levels)

    @property
    def post_processing(self) -> PostProcessing:
        """What is done to predictions; a plan does not state the rest of it."""
        return PostProcessing(variances=self.variances, nms_threshold=self.nms_threshold,
                              nms_topk=self.nms_topk, force_suppress=self.force_suppress)


def plan(backbone: str | Backbone, num_classes: int = 20,
         data_shape: int | tuple[int, int] = 300, head: str | Head = "ssd",
         **overrides: Any) -> Plan:
    """Derive the plan of a detector from a backbone's taps and an input shape.

    `num_classes` leaves the background out; `data_shape` is a side in pixels or (height, width).
    Any field of the plan with an entry per level may be given as a keyword of its name, and so may
    `variances`, `nms_threshold`, `nms_topk`, `force_suppress`, `loss` and `preprocessing`;
    `tap_strides` picks, by stride, the taps that feed detection; `sizes` may be the name of a
    scheme (``example``, ``paper``, or ``head`` for the head's own, the default, which is
    ``example`` for SSD). `from_layers` also sets the number of levels; taps named there are not
    verified here, but by `build`. What is not given follows the head's `defaults`.

    Raises PlanError, which names the level, when the shape is too small or an override cannot be.
    """
    source, shape = complete(get_backbone(backbone)), _shape(data_shape)
    rules.check_names(overrides)
    if not rules.is_whole(num_classes) or num_classes < 1:
        raise PlanError(f"num_classes={num_classes!r}: at least one class is needed "
                        f"(the background is not counted)")
    head, symbol = get_head(head), source.symbol()
    layers, extras, steps = _layers(source, shape, head.defaults, overrides)
    try:
        graph = read_graph(symbol, shape)
    except InputShapeError as error:
        raise PlanError(_too_small(error, symbol.get_internals().list_outputs(), layers)
                        ) from error
    if extras is None:
        extras = _derive_extras(graph, layers, head.defaults)
    return _assemble(source, head, int(num_classes), shape, graph, layers, extras, steps, overrides)


def _shape(data_shape: int | Sequence[int]) -> tuple[int, int]:
    sides = tuple(data_shape) if isinstance(data_shape, Iterable) else (data_shape, data_shape)
    if len(sides) != 2 or any(not rules.is_whole(side) or side < 1 for side in sides):
        raise PlanError(f"data_shape={data_shape!r} is neither a side in pixels "
                        f"nor (height, width)")
    return int(sides[0]), int(sides[1])


def _layers(source: Backbone, shape: tuple[int, int], defaults: PlanDefaults,
            overrides: dict[str, Any]
            ) -> tuple[list[str], list[Extra] | None, tuple[float, ...]]:
    """Choose the taps, the levels behind them (None: to be derived), and published steps."""
    if "from_layers" in overrides:
        layers = [str(layer).strip().removesuffix("_output")
                  for layer in rules.listed("from_layers", overrides["from_layers"])]
        taps = [layer for layer in layers if layer]
        if not taps or taps != layers[:len(taps)]:
            raise PlanError(f"from_layers={tuple(layers)!r} must name backbone nodes first and "
                            f'then "" for each level made behind them')
        return taps, [Extra(_extra_channels(level, defaults))
                      for level in range(len(taps), len(layers))], ()
    preset = None if "tap_strides" in overrides or defaults.own_levels else source.preset(shape)
    tap_strides = (preset.tap_strides if preset else ()) or _natural(source, defaults)
    if "tap_strides" in overrides:
        tap_strides = rules.listed("tap_strides", overrides["tap_strides"])
    if not tap_strides or len(set(tap_strides)) < len(tap_strides):
        raise PlanError(f"tap_strides={tap_strides} must list at least one stride, each once")
    try:
        taps = [source.tap(stride).node for stride in sorted(tap_strides)]
    except ValueError as error:
        raise PlanError(f"tap_strides={tap_strides}: {error}") from error
    if preset:
        return taps, list(preset.extras) or None, preset.steps
    return taps, None, ()


def _natural(source: Backbone, defaults: PlanDefaults) -> tuple[int, ...]:
    """Return the strides of the taps that feed a head by default, the backbone's own if none."""
    least = defaults.least_stride
    strides = tuple(tap.stride for tap in source.taps if least is not None and tap.stride >= least)
    return strides or source.tap_strides


def _too_small(error: InputShapeError, outputs: list[str], taps: list[str]) -> str:
    """Say which level an input that is too small for the backbone cannot reach."""
    order = {name[:-len("_output")]: index for index, name in enumerate(outputs)
             if name.endswith("_output")}
    failed = order.get(error.node or "", len(outputs))
    level = next((level for level, tap in enumerate(taps) if order.get(tap, -1) >= failed), None)
    where = f"level {level} ({taps[level]!r}) cannot be reached: " if level is not None else ""
    return f"{where}{error}; take a larger data_shape"


def _derive_extras(graph: Graph, taps: list[str], defaults: PlanDefaults) -> list[Extra]:
    """Halve the last tap's map until it is a single cell, or as often as the head wants it.

    Taps that repeat a map are refused.
    """
    maps = [_map(graph, level, node) for level, node in enumerate(taps)]
    for level, (before, here) in enumerate(zip(maps, maps[1:]), start=1):
        if before == here:
            raise PlanError(
                f"level {level} ({taps[level]!r}) would be {here[0]}x{here[1]} cells, as level "
                f"{level - 1} is: the input is too small for this backbone's detection taps; "
                f"take a larger data_shape or fewer tap_strides")
    extras: list[Extra] = []
    here = maps[-1]
    most = defaults.extra_levels
    while here != (1, 1) and (most is None or len(extras) < most):
        extra = Extra(_extra_channels(len(taps) + len(extras), defaults))
        here = _after(here, extra.stride, extra.pad)
        extras.append(extra)
    return extras


def _extra_channels(level: int, defaults: PlanDefaults) -> int:
    """Return the channels of an extra level; levels outside the table take its nearest entry."""
    nearest = min(max(level, min(EXTRA_CHANNELS)), max(EXTRA_CHANNELS))
    return defaults.channels or EXTRA_CHANNELS[nearest]


def _map(graph: Graph, level: int, name: str) -> tuple[int, int]:
    node = graph.find(name)
    if node is None:
        raise PlanError(f"level {level}: there is no node {name!r}: {graph.suggest(name)}")
    if len(node.shape) != 4:
        raise PlanError(f"level {level}: {name!r} is no feature map: its shape is {node.shape}")
    return node.shape[2], node.shape[3]


def _after(size: tuple[int, int], stride: int, pad: int) -> tuple[int, int]:
    """Return the map's size behind a 3x3 convolution."""
    return (size[0] + 2 * pad - 3) // stride + 1, (size[1] + 2 * pad - 3) // stride + 1


def _assemble(source: Backbone, head: Head, num_classes: int, shape: tuple[int, int],
              graph: Graph, taps: list[str], extras: list[Extra], preset_steps: tuple[float, ...],
              overrides: dict[str, Any]) -> Plan:
    """Put defaults and overrides together, level by level."""
    count, defaults = len(taps) + len(extras), head.defaults
    scales, projections = _behind_taps(source, taps, defaults)
    channels = []
    for level, tap in enumerate(taps):
        _map(graph, level, tap)
        channels.append(graph.find(tap).channels)  # type: ignore[union-attr]
    values: dict[str, Any] = {
        "strides": [UNUSED] * len(taps) + [extra.stride for extra in extras],
        "pads": [UNUSED] * len(taps) + [extra.pad for extra in extras],
        "sizes": anchors.HEAD_SIZES,
        "ratios": (defaults.ratios,) * count if defaults.ratios else anchors.default_ratios(count),
        "normalizations": [UNUSED if scale is None else scale for scale in scales]
                          + [UNUSED] * len(extras),
        "projections": [projection or UNUSED for projection in projections]
                       + [UNUSED] * len(extras),
        "steps": [step / shape[0] for step in preset_steps],
    }
    values.update({name: overrides[name] for name in rules.PER_LEVEL if name in overrides})
    asked: Any = values["sizes"]
    in_cells: tuple[float, ...] = ()
    if isinstance(asked, str):
        # in cells until the maps are known
        in_cells = defaults.cells if asked == anchors.HEAD_SIZES else ()
        values["sizes"] = (in_cells,) * count if in_cells else anchors.named_sizes(asked, count)
    for name in values:
        values[name] = rules.per_level(name, values[name], count)
    values.setdefault("num_filters", (
        *(UNUSED if scale == UNUSED else filters
          for scale, filters in zip(values["normalizations"], channels)),
        *(extra.channels for extra in extras)))
    scalars = {name: rules.scalar(name, overrides[name])
               for name in rules.SCALARS if name in overrides}
    scalars.setdefault("preprocessing", source.preprocessing)
    if scalars.setdefault("loss", head.losses[0]) not in head.losses:
        raise PlanError(f"loss must be {' or '.join(head.losses)}, not {scalars['loss']!r}, for "
                        f"the head {head.name!r}")
    found = Plan(
        backbone=source.name, head=head.name, num_classes=num_classes, data_shape=shape,
        from_layers=(*taps, *[""] * len(extras)), levels=(), **values, **scalars)
    levels = tuple(_measure(found, graph, channels))
    if defaults.uniform:
        _check_uniform(head, levels)
    if in_cells:
        sizes = anchors.cell_sizes(in_cells, [level.height for level in levels])
        found = attrs.evolve(found, sizes=sizes)
    return attrs.evolve(found, levels=levels)


def _behind_taps(source: Backbone, taps: list[str], defaults: PlanDefaults
                 ) -> tuple[list[float | None], list[int | None]]:
    """Return, for each tap, the scale of its L2 normalisation and the channels of its projection.

    A head with channels of its own projects every tap.
    """
    if defaults.channels:
        return [None] * len(taps), [defaults.channels] * len(taps)
    declared = {tap.node: tap.stride for tap in source.taps}
    return ([source.l2_scale(declared[tap]) if tap in declared else None for tap in taps],
            [source.projection(declared[tap]) if tap in declared else None for tap in taps])


def _check_uniform(head: Head, levels: tuple[Level, ...]) -> None:
    """Refuse levels that cannot share predictors."""
    first = levels[0]
    for index, level in enumerate(levels):
        for what, here, there in (("channels", level.channels, first.channels),
                                  ("anchors a cell", level.anchors_per_cell,
                                   first.anchors_per_cell)):
            if here != there:
                raise PlanError(f"level {index} has {here} {what} and level 0 has {there}: the "
                                f"levels of the head {head.name!r} share their predictors, and "
                                f"must have the same number")


def _measure(found: Plan, graph: Graph, tap_channels: list[int]) -> Iterable[Level]:
    """Follow the feature maps through the levels; refuse one that would be empty."""
    size = (0, 0)
    for level, layer in enumerate(found.from_layers):
        stride, pad, channels = (found.strides[level], found.pads[level],
                                 found.num_filters[level])
        if layer:
            if (stride, pad) != (UNUSED, UNUSED) or channels not in (UNUSED, tap_channels[level]):
                raise PlanError(
                    f"level {level} is the backbone's {layer!r}: its entries in strides and pads "
                    f"must be {UNUSED}, not {stride} and {pad}, and in num_filters {UNUSED} or "
                    f"its channels ({tap_channels[level]}), not {channels}")
            size, channels = _map(graph, level, layer), tap_channels[level]
            projection = found.projections[level]
            if projection != UNUSED and found.normalizations[level] != UNUSED:
                raise PlanError(f"level {level} has an L2 scale in normalizations and channels in "
                                f"projections: one of them must be {UNUSED}")
            channels = channels if projection == UNUSED else projection
        else:
            if found.projections[level] != UNUSED:
                raise PlanError(f"level {level} is made by a convolution: its entry in "
                                f"projections must be {UNUSED}, not {found.projections[level]}")
            if stride < 1 or pad < 0 or channels < 1:
                raise PlanError(f"level {level} is made by a convolution: its stride ({stride}) "
                                f"and channels ({channels}) must be positive, its pad ({pad}) "
                                f"not negative")
            before, size = size, _after(size, stride, pad)
            if min(size) < 1:
                raise PlanError(
                    f"level {level} would be empty: a 3x3 convolution with stride {stride} and "
                    f"pad {pad} does not fit the {before[0]}x{before[1]} map of level "
                    f"{level - 1}; take a larger data_shape or fewer levels")
        per_cell = len(found.sizes[level]) + len(found.ratios[level]) - 1
        yield Level(layer, channels, *size, anchors_per_cell=per_cell)
