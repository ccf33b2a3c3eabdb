"""Audit of configurations as MXNet's SSD example has them, against ssdreg's own backbones.

They are read from a source file with the example's ``get_config(network, data_shape)``, which is
not executed, or from a dictionary with the same fields, as JSON or a Python literal. Whatever is
in the file, the time and memory that it takes are bounded.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from ssdreg.auditing.audited import Audit, Audited, judge, undecided
from ssdreg.auditing.counting import COUNTED, with_sizes
from ssdreg.auditing.reading import Computed, NoConfigurationError, read_factory
from ssdreg.auditing.subset.ledger import BITS, DEPTH, LENGTH, MAX_SOURCE
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.overrides import LARGEST_SIDE, UNUSED, Overrides
from ssdreg.errors import AuditError, PlanError, PluginError, TapError, UnknownNameError
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import get_backbone

#: The input sizes that SSD was published for.
SHAPES = (300, 512)
_INSTEAD = "write its configurations out, or give them as a dictionary"
#: The fields that decide how many parameters a detector has, besides its taps.
FIELDS = ("num_filters", "strides", "pads", "sizes", "ratios", "normalizations")


@frozen
class NetworkConfiguration:
    """One network's configuration, and where it was found; `issue` says why there is none."""

    label: str
    network: str
    data_shape: int
    fields: Mapping[str, Any]
    issue: str = ""


def audit_configurations(file: Path, data_shape: int | None = None,
                         num_classes: int = 20) -> Audit:
    """Audit every network that a file configures, each against the backbone of its name.

    `data_shape` is the input's side in pixels; without it the networks are audited at 300 and
    at 512, where they are configured differently. Raises AuditError when the file is neither a
    source file with ``get_config`` nor a dictionary of configurations.
    """
    items = [_audit(configuration, num_classes)
             for configuration in read_configurations(file, data_shape)]
    return Audit(tuple(items), COUNTED.format(classes=num_classes))


def read_configurations(file: Path, data_shape: int | None = None) -> list[NetworkConfiguration]:
    """Read the configurations in a file; see :func:`audit_configurations`."""
    if file.stat().st_size > MAX_SOURCE:
        raise AuditError(f"{file} has {file.stat().st_size:,} bytes: no file of configurations "
                         f"has more than {MAX_SOURCE:,}")
    text = file.read_text(encoding="utf-8", errors="replace")
    shapes = SHAPES if data_shape is None else (data_shape,)
    try:
        if file.suffix == ".json":
            return list(_from_dictionary(file, json.loads(text), data_shape))
        factory = read_factory(text)
        if factory is None:
            return list(_from_dictionary(file, ast.literal_eval(text.strip()), data_shape))
    except AuditError:
        raise
    except NoConfigurationError as error:
        raise AuditError(f"{file}, line {error.line}: {error.reason}; {_INSTEAD}") from error
    # Python's own parser raises MemoryError for text that is nested too deep
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else ""
        raise AuditError(f"{file} holds no configurations: it is neither Python 3 with the "
                         f"example's get_config(network, data_shape) nor a dictionary{where}"
                         ) from error
    if not factory.networks:
        raise AuditError(f"{file}: its get_config compares its first argument with no name of "
                         f"a network")
    configurations: list[NetworkConfiguration] = []
    for network in factory.networks:
        read = []
        for shape in shapes:
            try:
                read.append(NetworkConfiguration(network, network, shape,
                                                 factory.config(network, shape)))
            except NoConfigurationError as error:
                read.append(NetworkConfiguration(network, network, shape, {},
                                                 f"{error} of {file.name}; {_INSTEAD}"))
        configurations += _distinct(read)
    return configurations


def _from_dictionary(file: Path, value: Any, data_shape: int | None
                     ) -> Iterable[NetworkConfiguration]:
    """Read one configuration, a list of them, or a dictionary of them by network.

    Each may have a `data_shape` of its own, which the given one goes before.
    """
    complaint = _complaint(value)
    if complaint:
        raise AuditError(f"{file} is no configuration: {complaint}")
    if isinstance(value, Mapping) and "from_layers" not in value:
        entries = [{"network": name, **fields} if isinstance(fields, Mapping) else fields
                   for name, fields in value.items()]
    else:
        entries = list(value) if isinstance(value, (list, tuple)) else [value]
    for entry in entries:
        if not (isinstance(entry, Mapping) and "from_layers" in entry
                and isinstance(entry.get("network"), str)):
            raise AuditError(f"{file}: {str(entry)[:60]!r} is no configuration; it is a "
                             f"dictionary with at least the fields network and from_layers")
        shape = data_shape or entry.get("data_shape", SHAPES[0])
        if not isinstance(shape, int) or not 1 <= shape <= LARGEST_SIDE:
            raise AuditError(f"{file}: the data_shape of {entry['network']!r} must be a side in "
                             f"pixels, not {shape!r}; the longest is {LARGEST_SIDE}")
        yield NetworkConfiguration(entry["network"], entry["network"], shape, entry)
    if not entries:
        raise AuditError(f"{file} holds no configurations")


def _complaint(value: Any) -> str:
    """Say which limit a dictionary's values exceed, if any; later code relies on these limits."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > DEPTH:
            return f"it is nested more than {DEPTH} levels deep"
        if isinstance(part, int) and part.bit_length() > BITS:
            return f"it has a number of {part.bit_length():,} bits"
        if isinstance(part, (str, list, tuple, Mapping)) and len(part) > LENGTH:
            return f"it has a {type(part).__name__} of {len(part):,} entries"
        if isinstance(part, (list, tuple, Mapping)):
            waiting += [(inner, depth + 1) for inner in (
                part.values() if isinstance(part, Mapping) else part)]
            waiting += [(key, depth + 1) for key in part] if isinstance(part, Mapping) else []
    return ""


def _distinct(read: Sequence[NetworkConfiguration]) -> list[NetworkConfiguration]:
    """Keep one of equal configurations; put the input size into the label where they differ."""
    def key(configuration: NetworkConfiguration) -> tuple[Any, str]:
        fields = {name: configuration.fields.get(name) for name in ("from_layers", *FIELDS)}
        return fields, configuration.issue

    kept: list[NetworkConfiguration] = []
    sound = [configuration for configuration in read if not configuration.issue]
    for configuration in sound or read:
        if key(configuration) not in map(key, kept):
            kept.append(configuration)
    if len(kept) == 1 and (kept[0].issue or len(sound) == len(read)):
        return kept
    return [evolve(configuration,
                   label=f"{configuration.network} at {configuration.data_shape}")
            for configuration in kept]


def _audit(configuration: NetworkConfiguration, num_classes: int) -> Audited:
    shape = (configuration.data_shape, configuration.data_shape)
    layers = configuration.fields.get("from_layers", ())
    issue = configuration.issue
    if isinstance(layers, Computed):
        issue = f"its from_layers are computed, on line {layers.line}, not written out"
    elif not issue and not (isinstance(layers, (list, tuple)) and any(layers)
                            and all(isinstance(layer, str) for layer in layers)):
        issue = f"its from_layers are no list of names: {str(layers)[:60]}"
    if issue:
        return undecided(configuration.label, configuration.network, shape, (), issue)
    taps = [layer for layer in layers if layer.strip()]
    try:
        source = get_backbone(configuration.network)
    except UnknownNameError:
        return undecided(configuration.label, configuration.network, shape, taps,
                         f"no registered backbone is called {configuration.network!r}; a plug-in "
                         f"may bring it, and its symbol can be audited with --layers")
    except PluginError as error:
        return undecided(configuration.label, configuration.network, shape, taps, str(error))
    return _on_backbone(configuration, source, taps, num_classes)


def _on_backbone(configuration: NetworkConfiguration, source: Backbone, taps: Sequence[str],
                 num_classes: int) -> Audited:
    shape = (configuration.data_shape, configuration.data_shape)
    try:
        built = BuiltBackbone.of(source)
        judged = judge(configuration.label, source.name, built.symbol, taps, shape)
    except TapError as error:
        return undecided(configuration.label, source.name, shape, taps, str(error))
    try:
        overrides = _overrides(configuration.fields, len(taps))
    except PlanError as error:
        return evolve(judged, reasons=(*judged.reasons,
                                       f"its parameters cannot be counted: {error}"))
    return with_sizes(judged, built, len(configuration.fields["from_layers"]), overrides,
                      num_classes)


def _overrides(fields: Mapping[str, Any], taps: int) -> Overrides:
    """Return a configuration's fields as overrides of a plan."""
    settings: dict[str, Any] = {}
    for name in FIELDS:
        value = fields.get(name)
        if isinstance(value, Computed):
            raise PlanError(f"its {name} are computed, on line {value.line}, not written out")
        if value is None:
            continue
        if name == "normalizations" and not isinstance(value, (list, tuple)):
            value = [value] * len(fields["from_layers"])
        if name == "num_filters" and isinstance(value, (list, tuple)):
            # a tap's entry repeats its channels, and the right tap may have other ones
            value = [*[UNUSED] * taps, *value[taps:]]
        settings[name] = value
    return Overrides(**settings)
