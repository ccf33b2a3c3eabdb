"""What a plug-in declares: a backbone and the taps at the end of its stages.

Declaring is cheap. No symbol is built and MXNet is not imported until somebody asks for
:meth:`Backbone.symbol`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen, validators

from ssdreg.errors import PluginError, SsdregError
from ssdreg.registry.converters import (
    are_names,
    as_aliases,
    as_tuple,
    is_listed,
    is_name,
    is_text,
)
from ssdreg.registry.lazy_reference import resolve, valid_reference
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The coarsest first tap: what lies in front of it is a stem, at stride 2 or finer.
COARSEST_START = 4

_positive = validators.and_(validators.instance_of(int), validators.gt(0))


def _pairs(value: Mapping[Any, Any] | tuple[tuple[Any, Any], ...]) -> tuple[tuple[Any, Any], ...]:
    """Keep a mapping as a tuple of pairs, so that declarations stay frozen and hashable."""
    return tuple(value.items()) if isinstance(value, Mapping) else tuple(value)


@frozen
class Tap:
    """The feature map at the end of one stage of a backbone.

    `stage` is the family's own number of the stage (0 for a stem), `stride` the input pixels per
    cell of the map, `channels` its depth, and `node` the name of the node that computes it
    (without MXNet's ``_output``).
    """

    stage: int = field(validator=[validators.instance_of(int), validators.ge(0)])
    stride: int = field(validator=_positive)
    channels: int = field(validator=_positive)
    node: str = field(validator=is_text)


@frozen
class Extra:
    """One feature level made behind the backbone: a 1x1 convolution, then this 3x3 one."""

    channels: int = field(validator=_positive)
    stride: int = field(default=2, validator=_positive)
    pad: int = field(default=1, validator=[validators.instance_of(int), validators.ge(0)])


@frozen
class StopsAt:
    """Where a backbone's detection stops on purpose, and why.

    `stride` is that of the coarsest tap that feeds detection by default; what lies behind it is
    left unused. `reason` is a sentence for the reader of ``ssdreg show`` and ``ssdreg check``.
    """

    stride: int = field(validator=_positive)
    reason: str = field(validator=is_text)


@frozen(kw_only=True)
class Preset:
    """Numbers that a published detector fixes for one square input size.

    `tap_strides` are the strides of the taps that feed detection, `extras` the levels behind them,
    `steps` the distance of anchor centres per level in pixels; what is left empty is derived as
    for any other size.
    """

    data_shape: int = field(validator=_positive)
    tap_strides: tuple[int, ...] = field(default=(), converter=as_tuple, validator=is_listed)
    extras: tuple[Extra, ...] = field(default=(), converter=as_tuple, validator=is_listed)
    steps: tuple[float, ...] = field(default=(), converter=as_tuple, validator=is_listed)


@frozen(kw_only=True)
class Backbone:
    """A classification network that SSD heads can stand on, as a plug-in declares it.

    `build` returns the network's own symbol, classifier included where it has one; it is a
    callable or the text ``"module:function"``, loaded on first use, and is called with
    `arguments` as keywords. `taps` holds the end of **every** stage, the finest first; without
    any they are found on the graph when they are first needed
    (:func:`ssdreg.graph.finding.complete`). `tap_strides` names, by stride, those that feed
    detection by default; without any it is the two coarsest.

    `l2_scales` maps the stride of a tap that needs L2 normalisation (Liu et al., ParseNet, 2015)
    to its initial scale. `projections` maps the stride of a tap with raw features, such as a
    linear bottleneck's (Sandler et al., MobileNetV2, 2018), to the channels of the 1x1
    convolution with batch normalisation and ReLU that is put behind it: predictors diverge on
    values that nothing keeps small.

    A backbone of whose weights detection leaves a good part unused, or that does not declare its
    last stages, is refused as one whose author forgot a tap, unless `stops_at` says where it stops
    and why; `tap_strides` ends there. `starts_at` is the stride of the first tap where the stem in
    front of it, at stride 2 or finer, is left out on purpose.

    `depth` orders the members of a `family`: the deeper one must have more parameters.
    `preprocessing` is what the network expects of its input.

    Raises ValueError or TypeError when a declaration contradicts itself.
    """

    name: str = field(validator=is_name)
    family: str = field(validator=is_text)
    depth: int = field(validator=_positive)
    build: Callable[..., mx.sym.Symbol] | str = field(validator=valid_reference)
    taps: tuple[Tap, ...] = field(
        default=(), converter=as_tuple,
        validator=[is_listed, validators.deep_iterable(validators.instance_of(Tap))])
    tap_strides: tuple[int, ...] = field(default=(), converter=as_tuple, validator=is_listed)
    stops_at: StopsAt | None = field(
        default=None, validator=validators.optional(validators.instance_of(StopsAt)))
    starts_at: int | None = field(default=None, validator=validators.optional(_positive))
    paper: str = field(validator=is_text)
    aliases: tuple[str, ...] = field(
        default=(), converter=as_aliases, validator=[is_listed, are_names])
    arguments: tuple[tuple[str, Any], ...] = field(default=(), converter=_pairs)
    l2_scales: tuple[tuple[int, float], ...] = field(default=(), converter=_pairs)
    projections: tuple[tuple[int, int], ...] = field(default=(), converter=_pairs)
    presets: tuple[Preset, ...] = field(default=(), converter=as_tuple, validator=is_listed)
    preprocessing: Preprocessing = field(factory=Preprocessing)

    @taps.validator
    def _taps_are_ordered(self, attribute: Any, taps: tuple[Tap, ...]) -> None:
        strides = [tap.stride for tap in taps]
        if strides != sorted(set(strides)):
            raise ValueError(f"backbone {self.name!r}: taps must be declared with rising strides, "
                             f"one a stride, not {strides}")

    @tap_strides.validator
    def _tap_strides_are_taps(self, attribute: Any, tap_strides: tuple[int, ...]) -> None:
        self._check_strides(tap_strides)
        if list(tap_strides) != sorted(set(tap_strides)):
            raise ValueError(f"backbone {self.name!r}: tap_strides must list strides in rising "
                             f"order, not {tap_strides}")

    @stops_at.validator
    def _detection_stops_there(self, attribute: Any, stops_at: StopsAt | None) -> None:
        if stops_at is None:
            return
        self._check_strides((stops_at.stride,))
        self._check_stop("tap_strides", self.tap_strides)

    @starts_at.validator
    def _first_tap_is_there(self, attribute: Any, starts_at: int | None) -> None:
        if starts_at is None:
            return
        if not self.taps or self.taps[0].stride != starts_at:
            raise ValueError(f"backbone {self.name!r}: starts_at={starts_at} must be the stride of "
                             f"the first of its declared taps")
        if starts_at > COARSEST_START:
            raise ValueError(f"backbone {self.name!r}: starts_at={starts_at} would leave out more "
                             f"than a stem at stride 2: it can be {COARSEST_START} at most")

    @arguments.validator
    def _arguments_are_hashable(self, attribute: Any,
                                arguments: tuple[tuple[str, Any], ...]) -> None:
        for name, value in arguments:
            try:
                hash(value)
            except TypeError:
                raise TypeError(f"backbone {self.name!r}: the argument {name!r} must be hashable "
                                f"(a tuple instead of a list), not {value!r}") from None

    @l2_scales.validator
    def _scales_are_of_taps(self, attribute: Any,
                            l2_scales: tuple[tuple[int, float], ...]) -> None:
        self._check_strides(stride for stride, _ in l2_scales)
        for stride, scale in l2_scales:
            if scale <= 0:
                raise ValueError(f"backbone {self.name!r}: the L2 scale at stride {stride} must "
                                 f"be positive, not {scale}")

    @projections.validator
    def _projections_are_of_taps(self, attribute: Any,
                                 projections: tuple[tuple[int, int], ...]) -> None:
        self._check_strides(stride for stride, _ in projections)
        for stride, channels in projections:
            if channels < 1:
                raise ValueError(f"backbone {self.name!r}: the projection at stride {stride} must "
                                 f"have at least one channel, not {channels}")
            if self.l2_scale(stride) is not None:
                raise ValueError(f"backbone {self.name!r}: the tap at stride {stride} has an L2 "
                                 f"scale and a projection; one of them is enough")

    @presets.validator
    def _presets_detect_taps(self, attribute: Any, presets: tuple[Preset, ...]) -> None:
        for preset in presets:
            self._check_strides(preset.tap_strides)
            self._check_stop(f"the preset for {preset.data_shape}", preset.tap_strides)

    def _check_stop(self, what: str, tap_strides: tuple[int, ...]) -> None:
        """Check that these strides end where the backbone says that its detection stops."""
        if self.stops_at is not None and tap_strides and max(tap_strides) != self.stops_at.stride:
            raise ValueError(f"backbone {self.name!r}: stops_at says that detection stops at "
                             f"stride {self.stops_at.stride}, but {what} goes to "
                             f"{max(tap_strides)}")

    def _check_strides(self, strides: Iterable[int]) -> None:
        """Check that there is a tap at each stride, as far as they are declared."""
        if self.taps:
            for stride in strides:
                self.tap(stride)

    def tap(self, stride: int) -> Tap:
        """Return the tap at `stride`; raise ValueError naming the strides there are."""
        for tap in self.taps:
            if tap.stride == stride:
                return tap
        raise ValueError(f"backbone {self.name!r} has no tap at stride {stride}: "
                         f"its taps are at {', '.join(str(tap.stride) for tap in self.taps)}")

    def detects_at(self, data_shape: tuple[int, int]) -> tuple[int, ...]:
        """Return the strides that feed detection by default for this input (height, width)."""
        preset = self.preset(data_shape)
        return (preset.tap_strides if preset else ()) or self.tap_strides

    def nodes_at(self, data_shape: tuple[int, int]) -> tuple[str, ...]:
        """Return the nodes that feed detection by default for this input (height, width)."""
        return tuple(self.tap(stride).node for stride in self.detects_at(data_shape))

    def l2_scale(self, stride: int) -> float | None:
        """Return the initial scale of the L2 normalisation of the tap at `stride`, if it has."""
        return dict(self.l2_scales).get(stride)

    def projection(self, stride: int) -> int | None:
        """Return the channels of the projection behind the tap at `stride`, if it has one."""
        return dict(self.projections).get(stride)

    def preset(self, data_shape: tuple[int, int]) -> Preset | None:
        """Return the published numbers for this input shape (height, width), if there are any."""
        for preset in self.presets:
            if data_shape == (preset.data_shape, preset.data_shape):
                return preset
        return None

    def symbol(self) -> mx.sym.Symbol:
        """Build the backbone's own symbol: input ``data`` (B, 3, H, W) float32.

        It is built under a fresh name manager, so that automatic names such as ``_plus0`` are
        the same whatever was built before in the process.

        Raises PluginError, with the cause chained, when `build` fails.
        """
        from ssdreg.mx import mx
        try:
            with mx.name.NameManager():
                return resolve(self.build)(**dict(self.arguments))
        except SsdregError:
            raise
        except Exception as error:  # a plug-in's module may raise any exception
            raise PluginError(f"backbone {self.name!r} cannot be built: {type(error).__name__}: "
                              f"{error}") from error
