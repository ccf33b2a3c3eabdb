"""From a backbone's taps and an input shape to every number of a detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from attrs import frozen

from ssdreg.detector import anchor_schemes as anchors
from ssdreg.detector import overrides as rules
from ssdreg.detector.built import BuiltBackbone, SizedBackbone
from ssdreg.detector.overrides import UNUSED, Overrides
from ssdreg.detector.plan import Entries, Level, Plan, after
from ssdreg.errors import InputShapeError, PlanError
from ssdreg.graph.symbol import Graph
from ssdreg.registry.backbone import Backbone, Extra
from ssdreg.registry.head import Head, PlanDefaults

#: Output channels of the extra levels, by level, as in MXNet's example; the last level goes on.
EXTRA_CHANNELS = {2: 512, 3: 256, 4: 256, 5: 128}


@frozen
class Layers:
    """The taps of a detector, and the levels behind them; None: to be derived.

    `steps` are those that a preset publishes, in pixels.
    """

    taps: tuple[str, ...]
    extras: tuple[Extra, ...] | None = None
    steps: tuple[float, ...] = ()


def at_size(built: BuiltBackbone, data_shape: tuple[int, int], head: Head,
            overrides: Overrides) -> SizedBackbone:
    """Return a backbone for this size of its input.

    Raises PlanError, which names the level that cannot be reached, when it does not accept it.
    """
    try:
        return built.at(data_shape)
    except InputShapeError as error:
        layers = choose_layers(built.backbone, data_shape, head.defaults, overrides)
        outputs = built.symbol.get_internals().list_outputs()
        raise PlanError(_too_small(error, outputs, layers.taps)) from error


def derive(sized: SizedBackbone, num_classes: int, head: Head, overrides: Overrides) -> Plan:
    """Derive a detector's plan; raise PlanError, which names the level, for what cannot be."""
    layers = choose_layers(sized.backbone, sized.data_shape, head.defaults, overrides)
    extras = layers.extras
    if extras is None:
        extras = _derive_extras(sized.graph, layers.taps, head.defaults)
    entries, cells = _entries(sized, attrs.evolve(layers, extras=extras), head.defaults, overrides)
    loss = _chosen_loss("loss", overrides.loss, head.losses, head)
    box_loss = _chosen_loss("box_loss", overrides.box_loss, head.box_losses, head)
    levels = tuple(_measure(entries, sized.graph))
    if head.defaults.uniform:
        _check_uniform(head, levels)
    if cells:
        entries = attrs.evolve(
            entries, sizes=anchors.cell_sizes(cells, [level.height for level in levels]))
    preprocessing = (sized.backbone.preprocessing if overrides.preprocessing is None
                     else overrides.preprocessing)
    return Plan(
        backbone=sized.backbone.name, head=head.name, num_classes=int(num_classes),
        data_shape=sized.data_shape, levels=levels, variances=overrides.variances,
        nms_threshold=overrides.nms_threshold, nms_topk=overrides.nms_topk,
        force_suppress=overrides.force_suppress, loss=loss, box_loss=box_loss,
        preprocessing=preprocessing,
        **attrs.asdict(entries, recurse=False))


def _chosen_loss(name: str, given: str | None, known: tuple[str, ...], head: Head) -> str:
    """Return a loss that is given, or the head's default; raise PlanError where it has no such."""
    if given is None:
        return known[0]
    rules.check(name, given, rules.SCALARS[name])
    if given not in known:
        raise PlanError(f"{name} must be {' or '.join(known)}, not {given!r}, for the head "
                        f"{head.name!r}")
    return given


def choose_layers(source: Backbone, shape: tuple[int, int], defaults: PlanDefaults,
                  overrides: Overrides) -> Layers:
    """Choose the taps, and the levels behind them where somebody says which."""
    if overrides.from_layers is not None:
        layers = tuple(layer.strip().removesuffix("_output") if isinstance(layer, str) else layer
                       for layer in rules.listed("from_layers", overrides.from_layers))
        rules.check_layers(layers)
        taps = tuple(layer for layer in layers if layer)
        return Layers(taps, tuple(Extra(_extra_channels(level, defaults))
                                  for level in range(len(taps), len(layers))))
    given = overrides.tap_strides
    preset = None if given is not None or defaults.own_levels else source.preset(shape)
    tap_strides = (preset.tap_strides if preset else ()) or _natural(source, defaults)
    if given is not None:
        tap_strides = rules.listed("tap_strides", given)
    if (not tap_strides or not all(map(rules.is_whole, tap_strides))
            or len(set(tap_strides)) < len(tap_strides)):
        raise PlanError(f"tap_strides={tap_strides} must list at least one stride, each once")
    try:
        taps = tuple(source.tap(stride).node for stride in sorted(tap_strides))
    except ValueError as error:
        raise PlanError(f"tap_strides={tap_strides}: {error}") from error
    return Layers(taps, preset.extras or None, preset.steps) if preset else Layers(taps)


def _natural(source: Backbone, defaults: PlanDefaults) -> tuple[int, ...]:
    """Return the strides of the taps that feed a head by default, the backbone's own if none."""
    least = defaults.least_stride
    strides = tuple(tap.stride for tap in source.taps if least is not None and tap.stride >= least)
    return strides or source.tap_strides


def _too_small(error: InputShapeError, outputs: Sequence[str], taps: Sequence[str]) -> str:
    """Say which level an input that is too small for the backbone cannot reach."""
    order = {name[:-len("_output")]: index for index, name in enumerate(outputs)
             if name.endswith("_output")}
    failed = order.get(error.node or "", len(outputs))
    level = next((level for level, tap in enumerate(taps) if order.get(tap, -1) >= failed), None)
    where = f"level {level} ({taps[level]!r}) cannot be reached: " if level is not None else ""
    return f"{where}{error}; take a larger data_shape"


def _derive_extras(graph: Graph, taps: Sequence[str], defaults: PlanDefaults
                   ) -> tuple[Extra, ...]:
    """Halve the last tap's map until it is a single cell, or as often as the head wants it.

    Taps that repeat a map are refused.
    """
    maps = [_map(graph, level, node)[1:] for level, node in enumerate(taps)]
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
        here = after(here, extra.stride, extra.pad)
        extras.append(extra)
    return tuple(extras)


def _extra_channels(level: int, defaults: PlanDefaults) -> int:
    """Return the channels of an extra level; levels outside the table take its nearest entry."""
    nearest = min(max(level, min(EXTRA_CHANNELS)), max(EXTRA_CHANNELS))
    return defaults.channels or EXTRA_CHANNELS[nearest]


def _map(graph: Graph, level: int, name: str) -> tuple[int, int, int]:
    """Return a tap's channels, height and width; refuse a node that is no feature map."""
    node = graph.find(name)
    if node is None:
        raise PlanError(f"level {level}: there is no node {name!r}: {graph.suggest(name)}")
    if len(node.shape) != 4:
        raise PlanError(f"level {level}: {name!r} is no feature map: its shape is {node.shape}")
    return node.shape[1], node.shape[2], node.shape[3]


def _entries(sized: SizedBackbone, layers: Layers, defaults: PlanDefaults,
             overrides: Overrides) -> tuple[Entries, tuple[float, ...]]:
    """Put defaults and overrides together, level by level.

    Returned with them are sizes that are in cells until the maps are known, if that is what the
    head's are.
    """
    taps, extras = layers.taps, layers.extras or ()
    channels = [_map(sized.graph, level, tap)[0] for level, tap in enumerate(taps)]
    count, behind = len(taps) + len(extras), [UNUSED] * len(extras)
    scales, projections = _behind_taps(sized.backbone, taps, defaults)
    values: dict[str, Any] = {
        "strides": [UNUSED] * len(taps) + [extra.stride for extra in extras],
        "pads": [UNUSED] * len(taps) + [extra.pad for extra in extras],
        "sizes": anchors.HEAD_SIZES,
        "ratios": (defaults.ratios,) * count if defaults.ratios else anchors.default_ratios(count),
        "normalizations": [*scales, *behind],
        "projections": [*projections, *behind],
        "steps": [step / sized.data_shape[0] for step in layers.steps],
        **overrides.per_level()}
    sizes: Any = values["sizes"]
    cells: tuple[float, ...] = ()
    if isinstance(sizes, str):
        cells = defaults.cells if sizes == anchors.HEAD_SIZES else ()
        values["sizes"] = (cells,) * count if cells else anchors.named_sizes(sizes, count)
    for name in values:
        values[name] = rules.listed(name, values[name])
        rules.check_per_level(name, values[name], count)
    values.setdefault("num_filters", (
        *(UNUSED if scale == UNUSED else filters
          for scale, filters in zip(values["normalizations"], channels)),
        *(extra.channels for extra in extras)))
    return Entries(from_layers=(*taps, *[""] * len(extras)), **values), cells


def _behind_taps(source: Backbone, taps: Sequence[str], defaults: PlanDefaults
                 ) -> tuple[list[float], list[int]]:
    """Return, for each tap, the scale of its L2 normalisation and the channels of its projection.

    A head with channels of its own projects every tap.
    """
    if defaults.channels:
        return [UNUSED] * len(taps), [defaults.channels] * len(taps)
    strides = {tap.node: tap.stride for tap in source.taps}
    # 0 is the stride of no tap
    scales = [source.l2_scale(strides.get(tap, 0)) for tap in taps]
    projections = [source.projection(strides.get(tap, 0)) for tap in taps]
    return ([UNUSED if scale is None else scale for scale in scales],
            [projection or UNUSED for projection in projections])


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


def _measure(entries: Entries, graph: Graph) -> Iterable[Level]:
    """Follow the feature maps through the levels; refuse one that would be empty."""
    size = (0, 0)
    for level, layer in enumerate(entries.from_layers):
        if layer:
            channels, *sides = _map(graph, level, layer)
            entries.check_tap(level, channels)
            size = (sides[0], sides[1])
            projection = entries.projection(level)
            channels = channels if projection == UNUSED else projection
        else:
            entries.check_made(level)
            channels, before = entries.num_filters[level], size
            size = entries.size_behind(before, level)
            if min(size) < 1:
                raise PlanError(
                    f"level {level} would be empty: a 3x3 convolution with stride "
                    f"{entries.strides[level]} and pad {entries.pads[level]} does not fit the "
                    f"{before[0]}x{before[1]} map of level {level - 1}; take a larger data_shape "
                    f"or fewer levels")
        yield Level(layer, channels, *size, anchors_per_cell=entries.anchors_per_cell(level))
