"""Whose every name is: which one each declaration is listed under, and what a name stands for.

A built-in name cannot be taken. What two distributions call the same is told apart as
``distribution:name``, and so is what has the name of a built-in; the bare name, where two third
parties want it, is an error that lists them. Of weights the earlier keep the name. A colon is
therefore no part of anybody's own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, cast

import attrs
from attrs import field, frozen

from ssdreg.errors import PluginError, UnknownNameError
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.converters import fold
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head
from ssdreg.registry.host import BUILT_IN, Answers, Declared, answers, loaded, names_of
from ssdreg.registry.issues import PluginIssue
from ssdreg.registry.weights import Weights


@frozen(eq=False)
class Names:
    """The declarations of one kind, by the name each is listed under.

    `listed` leads from every folded name, aliases and qualified names among them, to that; and
    `contested` from a name that two distributions want to the qualified ones.
    """

    items: dict[str, Any] = field(factory=dict)
    plugins: dict[str, str] = field(factory=dict)
    listed: dict[str, str] = field(factory=dict)
    contested: dict[str, tuple[str, ...]] = field(factory=dict)


@frozen(eq=False)
class Registry:
    """Everything declared, and what went wrong while plug-ins were asked and names settled."""

    backbone: Names
    head: Names
    weight: Names
    detector: Names
    data_format: Names
    engine: Names
    issues: tuple[PluginIssue, ...]

    @property
    def backbones(self) -> dict[str, Backbone]:
        """The backbones by the names they are listed under."""
        return self.backbone.items


# Settle

def registry() -> Registry:
    """Return what all plug-ins declare, by the names it is listed under."""
    return _settled(answers())


@lru_cache(maxsize=1)
def _settled(answered: Answers) -> Registry:
    """Settle all names, once for the same answers, and warn of what is wrong."""
    issues = list(answered.issues)
    backbone = _settle(_without_colons(answered.declared["ssdreg_backbones"], issues), issues)
    head = _settle(_without_colons(answered.declared["ssdreg_heads"], issues), issues)
    weights = _without_colons(answered.declared["ssdreg_weights"], issues)
    weight = _settle(_address(weights, backbone, issues), issues)
    detectors = _without_colons(answered.declared["ssdreg_detectors"], issues)
    detector = _settle(detectors, issues)
    formats = _without_colons(answered.declared["ssdreg_datasets"], issues)
    data_format = _settle(formats, issues)
    engines = _without_colons(answered.declared["ssdreg_engines"], issues)
    engine = _settle(engines, issues)
    for issue in issues:
        issue.warn(loaded().version(issue.plugin))
    return Registry(backbone, head, weight, detector, data_format, engine, tuple(issues))


def _without_colons(declared: Sequence[Declared], issues: list[PluginIssue]) -> list[Declared]:
    """Leave out those with a name that they may not choose."""
    kept = []
    for declaration in declared:
        own = ((declaration.item.name,) if isinstance(declaration.item, Weights)
               else declaration.names)
        qualified = next((name for name in own if ":" in name), None)
        if qualified is None:
            kept.append(declaration)
        else:
            issues.append(PluginIssue(declaration.plugin, (
                f"brings {qualified!r}: a colon stands between a distribution and a name, and is "
                f"no part of one; it was left out"), names=frozenset(map(fold, declaration.names))))
    return kept


def _settle(declared: Sequence[Declared], issues: list[PluginIssue]) -> Names:
    """Give every declaration the name it is listed under; say what cannot have its own."""
    names = Names()
    own = [declaration for declaration in declared if declaration.distribution == BUILT_IN]
    others, repeated = _once([declaration for declaration in declared
                              if declaration.distribution != BUILT_IN])
    reserved = {fold(name) for declaration in own for name in declaration.names}
    # weights go by their order: the earlier is the default, and keeps its name
    wanted = _wanted_by(declaration for declaration in others
                        if not isinstance(declaration.item, Weights))
    names.contested.update({key: tuple(sorted(qualified)) for key, qualified in wanted.items()
                            if len(qualified) > 1 and key not in reserved})
    for declaration in own:
        _enter(names, declaration, declaration.item, issues)
    for declaration in others:
        item = declaration.item
        title, *_ = declaration.names
        if fold(title) in reserved:
            issues.append(PluginIssue(declaration.plugin, (
                f"brings {title!r}, which is the name of a built-in: it can be had as "
                f"{declaration.distribution}:{title}")))
            item = _qualified(declaration)
        elif fold(title) in names.contested or (isinstance(item, Weights)
                                                and _is_anothers(names, declaration, title)):
            item = _qualified(declaration)
        _enter(names, declaration, item, issues)
    for repetition, first in repeated:
        name = names.listed.get(fold(f"{first.distribution}:{first.names[0]}"))
        if name is not None:
            names.listed.setdefault(fold(f"{repetition.distribution}:{repetition.names[0]}"), name)
    return names


def _once(declared: Sequence[Declared]) -> tuple[list[Declared], list[tuple[Declared, Declared]]]:
    """Keep the first of declarations that are the same, whoever brings them.

    A plug-in that is both installed and registered by hand does not conflict with itself. The
    repeated ones come with the one that they repeat. What one distribution declares twice stays
    in, and is an issue of that distribution.
    """
    once: list[Declared] = []
    repeated: list[tuple[Declared, Declared]] = []
    for declaration in declared:
        first = next((other for other in once if other.distribution != declaration.distribution
                      and other.item == declaration.item), None)
        if first is None:
            once.append(declaration)
        else:
            repeated.append((declaration, first))
    return once, repeated


def _wanted_by(declared: Iterable[Declared]) -> dict[str, dict[str, None]]:
    """Return, for each folded name, the qualified names of the distributions that want it."""
    wanted: dict[str, dict[str, None]] = {}
    for declaration in declared:
        title, *_ = declaration.names
        for name in declaration.names:
            wanted.setdefault(fold(name), {})[f"{declaration.distribution}:{title}"] = None
    # a distribution that declares a name twice conflicts with itself alone: the first stands
    return {key: dict.fromkeys({title.partition(":")[0]: title for title in reversed(titles)
                                }.values()) for key, titles in wanted.items()}


def _is_anothers(names: Names, declaration: Declared, title: str) -> bool:
    """Tell whether another distribution has this name already."""
    name = names.listed.get(fold(title))
    return name is not None and names.plugins[name].partition(":")[0] != declaration.distribution


def _qualified(declaration: Declared) -> Any:
    """Return a declaration under its qualified name."""
    return attrs.evolve(declaration.item,
                        name=f"{declaration.distribution}:{declaration.item.name}")


def _enter(names: Names, declaration: Declared, item: Any, issues: list[PluginIssue]) -> None:
    """Enter one declaration, under the names that are free."""
    title, *aliases = names_of(item)
    key = fold(title)
    if key in names.listed:
        name = names.listed[key]
        issues.append(PluginIssue(declaration.plugin, (
            f"brings {title!r}, which {name!r} of {names.plugins[name]} is called already: it was "
            f"left out"), names=frozenset({key})))
        return
    free = []
    for alias in aliases:
        taken = names.listed.get(fold(alias))
        if taken not in (None, title):
            issues.append(PluginIssue(declaration.plugin, (
                f"brings {title!r} with the alias {alias!r}, which is {taken!r}: it goes without")))
        elif fold(alias) not in names.contested:
            free.append(alias)
    if len(free) < len(aliases):
        item = attrs.evolve(item, aliases=tuple(free))
    names.items[title], names.plugins[title] = item, declaration.plugin
    for name in (title, *free):
        names.listed[fold(name)] = title
    for name in declaration.names:
        names.listed.setdefault(fold(f"{declaration.distribution}:{name}"), title)


def _address(declared: Sequence[Declared], backbones: Names, issues: list[PluginIssue]
             ) -> list[Declared]:
    """Let weights name their backbone as it is listed.

    A distribution's weights are for its own backbone first; for a name that several others bring
    they have to say which.
    """
    addressed: list[Declared] = []
    for declaration in declared:
        wanted = declaration.item.backbone
        anybodys = backbones.listed.get(fold(wanted))
        own = backbones.listed.get(fold(f"{declaration.distribution}:{wanted}"))
        if own is not None and own != anybodys:
            declaration = _addressed_to(own, declaration)
        elif fold(wanted) in backbones.contested:
            issues.append(PluginIssue(declaration.plugin, (
                f"brings {declaration.item.title!r}, and several plug-ins a backbone of that name: "
                f"it must be for {' or '.join(backbones.contested[fold(wanted)])}; it was left "
                f"out")))
            continue
        elif ":" in wanted and anybodys is not None:
            declaration = _addressed_to(anybodys, declaration)
        addressed.append(declaration)
    return addressed


def _addressed_to(backbone: str, declaration: Declared) -> Declared:
    """Return weights under the listed name of their backbone."""
    return attrs.evolve(declaration, item=attrs.evolve(declaration.item, backbone=backbone))


# Look up

def list_backbones() -> tuple[Backbone, ...]:
    """Return every registered backbone, by family and depth."""
    return tuple(sorted(registry().backbone.items.values(),
                        key=lambda backbone: (backbone.family, backbone.depth, backbone.name)))


def list_heads() -> tuple[Head, ...]:
    """Return every registered head, by name."""
    return tuple(sorted(registry().head.items.values(), key=lambda head: head.name))


def list_weights() -> tuple[Weights, ...]:
    """Return all declared weights, in the order of their plug-ins."""
    return tuple(registry().weight.items.values())


def list_detectors() -> tuple[DetectorWeights, ...]:
    """Return every registered detector that comes with weights, by name."""
    return tuple(sorted(registry().detector.items.values(), key=lambda detector: detector.name))


def list_data_formats() -> tuple[DataFormat, ...]:
    """Return every registered format of data sets, ssdreg's own first."""
    return tuple(registry().data_format.items.values())


def list_engines() -> tuple[Engine, ...]:
    """Return every registered engine, MXNet first."""
    return tuple(registry().engine.items.values())


def get_backbone(name: str | Backbone) -> Backbone:
    """Return the backbone called `name` (``ResNet-101`` and ``resnet_101`` are ``resnet101``).

    ``distribution:name`` is what that distribution brings. A `Backbone` is returned as it is.
    Raises UnknownNameError, which lists close matches, or the qualified names of a name that two
    distributions want; and PluginError, with the cause chained, when its plug-in failed.
    """
    if isinstance(name, Backbone):
        return name
    return cast(Backbone, _look_up("backbone", name, registry().backbone))


def get_head(name: str | Head) -> Head:
    """Return the head called `name`; see :func:`get_backbone`."""
    if isinstance(name, Head):
        return name
    return cast(Head, _look_up("head", name, registry().head))


def get_detector(name: str | DetectorWeights) -> DetectorWeights:
    """Return the detector with weights called `name`; see :func:`get_backbone`."""
    if isinstance(name, DetectorWeights):
        return name
    return cast(DetectorWeights, _look_up("detector", name, registry().detector))


def find_detector(name: str) -> DetectorWeights | None:
    """Return the detector with weights called `name`; None where none is called so."""
    title = registry().detector.listed.get(fold(name))
    return None if title is None else cast(DetectorWeights, registry().detector.items[title])


def get_data_format(name: str | DataFormat) -> DataFormat:
    """Return the format of data sets called `name`; see :func:`get_backbone`."""
    if isinstance(name, DataFormat):
        return name
    return cast(DataFormat, _look_up("format of data sets", name, registry().data_format))


def get_engine(name: str | Engine) -> Engine:
    """Return the engine called `name`; see :func:`get_backbone`."""
    if isinstance(name, Engine):
        return name
    return cast(Engine, _look_up("engine", name, registry().engine))


def same_name(left: str, right: str) -> bool:
    """Tell whether two spellings are the same name."""
    return fold(left) == fold(right)


#: Where all names of a kind are shown.
_SHOWN_BY = {"backbone": "`ssdreg list` shows all", "head": "`ssdreg list` shows all",
             "detector": "`ssdreg list` shows all",
             "format of data sets": "`ssdreg plugins` shows who brings which",
             "engine": "`ssdreg plugins` shows who brings which"}


def _look_up(kind: str, name: str, names: Names
             ) -> Backbone | Head | DetectorWeights | DataFormat | Engine:
    key = fold(name)
    title = names.listed.get(key)
    if title is not None:
        return cast("Backbone | Head | DetectorWeights | DataFormat | Engine", names.items[title])
    if key in names.contested:
        raise UnknownNameError(f"several plug-ins bring a {kind} called {name!r}: say "
                               f"{' or '.join(names.contested[key])}")
    _raise_lost(kind, name)
    # imported only here: most names are right
    from ssdreg.registry.suggestions import close, some
    by_key = {fold(alias): item for item in names.items.values() for alias in names_of(item)}
    meant = [by_key[closest].name for closest in close(key, by_key)]
    hint = (f"did you mean {' or '.join(dict.fromkeys(meant))}?" if meant
            else f"there are {some(sorted(names.items))}.")
    out = len({issue.plugin for issue in _failures()})
    others = (f" ({out} {'plug-in is' if out == 1 else 'plug-ins are'} disabled or failed, in "
              f"whole or in part: see `ssdreg plugins`)" if out else "")
    raise UnknownNameError(
        f"no {kind} is called {name!r}: {hint} {_SHOWN_BY[kind]}; more come from "
        f"packages that declare an entry point in the group {hookspecs.NAMESPACE!r}{others}."
    ) from _likely_cause()


def _raise_lost(kind: str, name: str) -> None:
    """Raise PluginError when `name` is what a plug-in that failed, or is forbidden, would bring."""
    owner, colon, bare = name.rpartition(":")
    for issue in _failures():
        distribution = issue.plugin.partition(":")[0]
        if (issue.names and fold(owner) == fold(distribution) if colon
                else fold(bare) in issue.names):
            raise PluginError(f"the {kind} {name!r} cannot be had: its plug-in {issue.plugin} "
                              f"{issue.reason}") from issue.error


def _likely_cause() -> BaseException | None:
    """Return the error of the one plug-in that could not be loaded, if it is one.

    Nobody knows what it would have brought; of several, nobody knows whose the name is.
    """
    errors = [issue.error for issue in loaded().issues if issue.error is not None]
    return errors[0] if len(errors) == 1 else None


def _failures() -> Iterator[PluginIssue]:
    yield from loaded().issues
    yield from registry().issues
    for title, reason in loaded().forbidden.items():
        entry_point = loaded().entry_points[title]
        yield PluginIssue(title, f"is {reason}",
                          names=frozenset({fold(entry_point.name), fold(entry_point.distribution)}))
