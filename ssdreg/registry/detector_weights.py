"""What a plug-in declares: a whole detector with its weights, ready to detect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from ssdreg.registry.converters import (
    are_names,
    as_aliases,
    as_tuple,
    is_listed,
    is_name,
)
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.registry.weights import PublishedFile

_is_side = validators.and_(validators.instance_of(int), validators.gt(0))


def _frozen_value(value: Any) -> Any:
    return tuple(map(_frozen_value, value)) if isinstance(value, (list, tuple)) else value


def _settings(value: Mapping[str, Any] | tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    """Keep a mapping as pairs, so that declarations stay frozen and hashable."""
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((name, _frozen_value(setting)) for name, setting in pairs)


@frozen(kw_only=True)
class DetectorWeights(PublishedFile):
    """A detector trained elsewhere, with all its weights: see `PublishedFile` for the file.

    Whoever takes a run takes its `name` too, such as ``ssd300_vgg16.coco``. `classes` are the names
    of what it detects, in the order of its predictors and without background.

    - `backbone` and `head` are names of those registered, `data_shape` the network's input
      (height, width), and `settings` further arguments of `ssdreg.plan`, by name: together they say
      what `ssdreg.build` makes. `preprocessing` is what the network expects of its input; None:
      what its backbone does. The names of parameters are those of the symbol that is made.
    - Without a `backbone` the file is a checkpoint that holds what a detector is made of, as one of
      GluonCV's presets does: `ssdreg.load_checkpoint` reads it.
    """

    name: str = field(validator=is_name)
    classes: tuple[str, ...] = field(converter=as_tuple, validator=[
        is_listed, validators.min_len(1),
        validators.deep_iterable(validators.and_(validators.instance_of(str),
                                                 validators.min_len(1)))])
    aliases: tuple[str, ...] = field(
        default=(), converter=as_aliases, validator=[is_listed, are_names])
    backbone: str = field(default="", validator=validators.instance_of(str))
    head: str = field(default="", validator=validators.instance_of(str))
    data_shape: tuple[int, int] | None = field(
        default=None, converter=lambda value: value if value is None else as_tuple(value),
        validator=validators.optional(validators.and_(
            is_listed, validators.min_len(2), validators.max_len(2),
            validators.deep_iterable(_is_side))))
    settings: tuple[tuple[str, Any], ...] = field(default=(), converter=_settings)
    preprocessing: Preprocessing | None = field(
        default=None, validator=validators.optional(validators.instance_of(Preprocessing)))

    @classes.validator
    def _classes_differ(self, attribute: Any, classes: tuple[str, ...]) -> None:
        twice = next((name for name in classes if classes.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"detector {self.name!r}: two of its classes are called {twice!r}")

    @settings.validator
    def _network_is_said_or_not(self, attribute: Any, settings: tuple[Any, ...]) -> None:
        if self.backbone and not (self.head and self.data_shape):
            raise ValueError(f"detector {self.name!r}: a backbone needs a head and a data_shape")
        if not self.backbone and (self.head or self.data_shape or settings or self.names):
            raise ValueError(f"detector {self.name!r}: without a backbone its file is a "
                             f"checkpoint, which says what head, data_shape, settings and names "
                             f"would")

    @property
    def title(self) -> str:
        """Its name."""
        return self.name
